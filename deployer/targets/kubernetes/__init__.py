"""Deployments on Kubernetes: rendered charts, applied, observed, routed."""
