"""The outputs of a run: records, the table, the annotated video and its sound."""
