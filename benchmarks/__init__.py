"""What the documents' figures were measured with; each module is a command, run from a checkout."""
