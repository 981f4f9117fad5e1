"""The desktop window: live predictions on a file or a camera."""
