"""Networks into files that other libraries run: pixels in, heatmaps, keypoints or boxes out."""
