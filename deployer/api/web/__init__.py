"""Serve the web pages, which show the API's answers as HTML."""
