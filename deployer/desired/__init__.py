"""Decide which version a deployment should serve, and with what spec. Pure."""
