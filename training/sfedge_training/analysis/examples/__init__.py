"""A model's answers to single samples as pictures: figures 4 and 5 of the paper."""
