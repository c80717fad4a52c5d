"""Read and write the Open Inference Protocol: JSON, and typed columns for the socket.

Needs the standard library only.
"""
