"""A model on disk: its files, its manifest, and the inputs and outputs of its graphs."""
