"""The datasets, each read from its native layout."""
