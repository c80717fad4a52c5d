"""The local target: deployments as processes of this machine."""
