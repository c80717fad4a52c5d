"""Read what runs: predictors, routes, logs, and why something does not start."""
