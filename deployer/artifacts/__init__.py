"""Fetch, check and keep the files of a logged model, and read its requirements."""
