"""Lock, build, keep and remove Python environments."""
