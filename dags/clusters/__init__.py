"""Define the clusters on which steps run."""
