"""Records kept on the cluster, in ModelDeployments."""
