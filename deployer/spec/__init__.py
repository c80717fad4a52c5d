"""Define serving.yaml: its fields, layers and limits. Pure."""
