"""Answer messages of a queue with the model."""
