"""The PyTorch model, its datasets and its recipe."""
