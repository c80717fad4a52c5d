"""The page: HTML of what the API says."""
