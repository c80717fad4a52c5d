"""Decide the next step of a rollout, of maintenance and of an upgrade. Pure."""
