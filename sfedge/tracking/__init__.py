"""From detections to people with ids over time."""
