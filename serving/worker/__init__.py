"""Run the model in its own Python environment: the standard library, and the model's packages."""
