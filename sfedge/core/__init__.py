"""What all subpackages share: boxes, tasks, the values of the pipeline, settings, errors."""
