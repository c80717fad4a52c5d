"""Fetch a model's files."""
