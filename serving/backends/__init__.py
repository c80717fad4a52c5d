"""Ask whatever runs the model: our worker, or a server in the same pod."""
