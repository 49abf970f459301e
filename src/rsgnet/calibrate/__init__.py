"""Fitting `present`, `visible` and `mine` on labelled pictures that a network was not trained on."""
