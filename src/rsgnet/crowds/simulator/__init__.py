"""Crowds of simulated people, drawn from three-dimensional bodies."""
