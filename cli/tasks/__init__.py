"""Run the parts of commands that take several requests."""
