"""Evaluation of poses, boxes and tracks: official metrics, intervals, error types, calibration, reports, conversion."""
