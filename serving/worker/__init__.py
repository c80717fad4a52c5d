"""What runs in the model's own environment: the standard library, and the model's packages."""
