"""What is true of every target: one suite (stories), told of each place."""
