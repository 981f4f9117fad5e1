"""A drawn dataset: people made of simple shapes, in the native layouts of the five datasets."""
