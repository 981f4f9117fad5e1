"""Switches off what the libraries under sfedge would report about their use."""

import os

# Read by each library when it is imported or first used, so they are set when sfedge is imported.
OFF = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime, 1.29 and later
    "HF_HUB_DISABLE_TELEMETRY": "1",  # Hugging Face hub
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray
    "DO_NOT_TRACK": "1",  # a convention among libraries; Hugging Face hub follows it
}


def switch_off() -> None:
    """Set the variables for this process and its children, over any setting of the user's.

    OpenVINO has no variable: `sfedge.engines.openvino` keeps its reporting module from loading.
    """
    os.environ.update(OFF)
