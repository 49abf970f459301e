"""Crowds with exact labels: drawn people, and real people cut out of other images. No PyTorch."""
