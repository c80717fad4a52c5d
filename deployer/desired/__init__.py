"""Decide which version a deployment should serve, and with which spec. Pure."""
