"""Where and how trials run: the only importer of Ray."""
