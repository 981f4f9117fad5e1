"""A drawn dataset: people made of simple shapes, in the native layouts of the five datasets."""

from sfedge_training.drawings.write_drawings import mark_made, write_drawings

__all__ = ["mark_made", "write_drawings"]
