"""The training data: crops and images with labels, augmentation, batches. Needs PyTorch."""
