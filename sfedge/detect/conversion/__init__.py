"""The detector networks' files: fetched, verified, and converted from TFLite to ONNX."""
