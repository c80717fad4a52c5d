"""Observe deployments: predictors, routes, logs, and why a predictor does not start."""
