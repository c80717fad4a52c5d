"""platform.yaml: read it, and say what is wrong with it."""
