"""A run from its source to its results, on files and live."""
