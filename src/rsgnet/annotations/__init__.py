"""Reading, writing, checking and completing labels of every supported format. No PyTorch."""
