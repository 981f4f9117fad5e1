"""Real pictures of several sources, brought into one labelled folder with landmarks."""
