"""Bring a deployment's objects to a cluster: decide, apply, prune."""
