"""Serve HTTP: read requests, route them, write answers."""
