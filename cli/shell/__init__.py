"""Provide the command line itself: groups, options, completion."""
