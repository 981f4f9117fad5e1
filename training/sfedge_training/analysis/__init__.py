"""Looking at data and results: checks, agreement, conflict, examples."""
