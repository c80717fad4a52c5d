"""Read platform.yaml, and name its mistakes."""
