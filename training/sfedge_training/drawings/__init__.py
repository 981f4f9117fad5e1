"""A drawn dataset: people made of simple shapes, in the native layouts of the five datasets."""

from sfedge_training.drawings.write import write_drawings

__all__ = ["write_drawings"]
