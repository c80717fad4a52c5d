"""Python environments: lock, build, keep and remove them."""
