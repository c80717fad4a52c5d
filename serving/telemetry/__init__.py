"""What a server says of itself: log, metrics, state file."""
