"""How right a bundle is on labelled pictures, asked as in a run; and the figures of that."""
