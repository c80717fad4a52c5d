"""What is ours on a cluster, kept by watches."""
