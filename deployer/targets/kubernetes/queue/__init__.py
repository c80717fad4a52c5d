"""Let pods consume queues: their shares, and their number."""
