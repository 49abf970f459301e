"""Fitting `present`, `visible` and `owned` on labelled images that a network was not trained on."""
