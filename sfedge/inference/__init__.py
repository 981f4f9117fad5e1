"""The model at work: views, queries, answers, and answers over time."""
