"""Crowds of real people, cut out of labelled images."""
