"""Build, list and remove images with Python environments."""
