"""Checks of the installation and measurements of its speed."""
