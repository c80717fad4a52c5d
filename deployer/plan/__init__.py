"""List what a pass would change, hold it to the limits, and take secrets out. Pure."""
