"""The PyTorch model, its datasets and its recipe."""

import sfedge  # noqa: F401 - before huggingface_hub, whose reports it turns off
