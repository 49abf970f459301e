"""Crowds of drawn people, in three dimensions."""
