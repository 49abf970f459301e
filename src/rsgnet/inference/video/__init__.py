"""Poses through clips: reading, tracking, smoothing and writing. Needs rsgnet[video]."""
