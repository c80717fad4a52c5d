"""Images with Python environments: build, list and remove them."""
