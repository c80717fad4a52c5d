"""The loop over deployments, and one pass over one of them."""
