"""Keep records on the cluster, in ModelDeployments."""
