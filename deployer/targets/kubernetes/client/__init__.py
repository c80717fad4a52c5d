"""Speak to an API server, knowing none of our nouns."""
