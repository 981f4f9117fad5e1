"""The network in PyTorch: encoder, connector, language model, gaze head."""
