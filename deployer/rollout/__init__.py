"""Decide the next step of a rollout, of upkeep and of an upgrade. Pure."""
