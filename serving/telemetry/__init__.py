"""Report on the server: log, metrics, state file."""
