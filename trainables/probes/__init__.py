"""Measurements on trained networks: pure functions, one method per file."""
