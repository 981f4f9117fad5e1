"""Faces, hands and bodies by MediaPipe's networks, as ONNX or through MediaPipe's library."""
