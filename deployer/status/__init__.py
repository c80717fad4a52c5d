"""Judge a deployment: its state, its reason, and the next step. Pure."""
