"""The services that the command line asks, over HTTP."""
