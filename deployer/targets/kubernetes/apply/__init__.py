"""Apply a deployment's objects to a cluster: decide, write, prune."""
