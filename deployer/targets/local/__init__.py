"""Run deployments as processes of this machine."""
