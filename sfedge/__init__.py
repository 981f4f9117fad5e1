"""What people do in a video: expression, gesture, gaze and relations, on your own device."""

__version__ = "0.1.0"
