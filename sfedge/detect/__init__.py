"""Finding faces, hands and persons."""
