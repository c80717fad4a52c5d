"""The command line itself: groups, options, completion."""
