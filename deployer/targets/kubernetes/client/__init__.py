"""Call an API server, without a noun of the platform."""
