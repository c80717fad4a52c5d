"""Decide which requests may share a call of the model."""
