"""Label formats in and out, and what can be wrong with labels. No PyTorch."""
