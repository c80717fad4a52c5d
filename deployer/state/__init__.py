"""Define the nouns: of the registry, of a deployment, and of the reasons for its state. Pure."""
