"""Translate between HTTP bodies and the worker's frames."""
