"""The Open Inference Protocol: JSON, and typed columns for the socket. Standard library only."""
