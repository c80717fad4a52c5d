"""Define the components of a platform, configure them, and check their health."""
