"""What a run leaves: records, the table, the annotated video and its sound."""
