"""Float models in PyTorch."""
