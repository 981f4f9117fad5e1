"""Training: the recipe, the loop, what it measures and writes."""
