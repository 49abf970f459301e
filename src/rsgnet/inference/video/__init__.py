"""Poses through clips: reading, tracking, smoothing and writing."""
