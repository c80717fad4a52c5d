"""The JSON of the API, as OpenAPI shows it."""
