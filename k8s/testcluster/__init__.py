"""A real Kubernetes node for the tests, from its own components, without container images."""
