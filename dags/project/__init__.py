"""project.yaml: its fields, its schema, and what a step is told of it."""
