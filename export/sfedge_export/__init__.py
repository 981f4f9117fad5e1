"""From a trained checkpoint to a bundle that the runtime reads."""
