"""Training: losses, Lightning modules and the run. Needs the `train` extra."""
