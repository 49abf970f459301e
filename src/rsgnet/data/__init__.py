"""What a training step reads: crops and images with their labels, augmented. Needs PyTorch."""
