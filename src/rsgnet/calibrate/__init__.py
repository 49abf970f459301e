"""Fitting `present`, `visible` and `mine` on labelled images that a network was not trained on."""
