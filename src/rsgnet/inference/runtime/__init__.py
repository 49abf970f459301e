"""Pose networks in ONNX Runtime, OpenVINO and PyTorch behind one interface."""
