"""Call the platform's services over HTTP."""
