"""The HTTP API and the page: read what the controller knows, and put in what people ask for."""
