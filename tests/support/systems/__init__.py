"""Real systems on this machine, each in a folder of its own."""
