"""Read the values of a request as the model's signature defines them."""
