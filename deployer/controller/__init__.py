"""Run the loop over deployments, and a pass over each of them."""
