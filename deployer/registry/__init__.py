"""MLflow: read the registry, watch it, and write tags to it."""
