"""Trained networks as files: ours, the zoo's, the published code's, torchvision's, ONNX."""
