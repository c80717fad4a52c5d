"""Read YAML files that people write, and name each mistake by its place."""
