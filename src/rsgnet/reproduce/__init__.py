"""Reproduction of the paper: its tables with our measurements, and ablations of its modules."""
