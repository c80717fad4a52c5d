"""The places that the stories are told of."""
