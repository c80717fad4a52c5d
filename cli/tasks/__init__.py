"""What a command does that takes more than one request."""
