"""From a trained checkpoint to a bundle that the runtime reads."""

import sfedge  # noqa: F401 - before onnxruntime, whose reports it turns off
