"""Say how a deployment is: its state, its reason, and the next step. Pure."""
