"""From images to poses: detector, crops, network, decoding, suppression. No PyTorch needed."""
