"""What the values of a request mean, by the model's signature."""
