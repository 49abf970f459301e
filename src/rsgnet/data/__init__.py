"""Data sets: reading annotations, cutting training crops, labelling them, and making crowds."""
