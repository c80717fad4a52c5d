"""List the changes of a pass, hold them to the limits, and mask secrets. Pure."""
