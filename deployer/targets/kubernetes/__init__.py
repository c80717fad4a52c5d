"""Run deployments on Kubernetes: render charts, apply them, observe pods, route requests."""
