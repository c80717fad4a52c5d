"""Define project.yaml: its fields, its schema, and the variables that a step gets from it."""
