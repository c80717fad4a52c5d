"""The nouns: what the registry holds, what is wanted, what runs, what is remembered. Pure."""
