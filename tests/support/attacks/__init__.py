"""What a client may send to break the model server, and what watches that it does not."""
