"""Calibration of the probabilities `present`, `visible` and `owned` on labelled images that were not trained on."""
