"""Export of networks to ONNX and OpenVINO files, from pixels to heatmaps, keypoints or boxes."""
