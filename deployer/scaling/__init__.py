"""Decide how many replicas the messages of a queue need. Pure."""
