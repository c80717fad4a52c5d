"""Serve the HTTP API and the web pages: what the controller knows and what operators request."""
