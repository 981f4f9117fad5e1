"""What the documents' figures were measured with; each module is a command, run from a checkout."""

import sfedge  # noqa: F401 - before onnxruntime, whose reports it turns off
