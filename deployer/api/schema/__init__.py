"""Declare the JSON answers of the API, from which FastAPI derives the OpenAPI schema."""
