"""What all rooms share: boxes, tasks, the values of the pipeline, settings, errors."""
