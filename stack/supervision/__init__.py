"""Processes of this machine under supervisord."""
