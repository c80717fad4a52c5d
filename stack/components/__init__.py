"""The components of a platform: what each is, how it is configured, and how it is."""
