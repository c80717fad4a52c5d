"""Read any YAML file that a person wrote, and name each mistake by its place."""
