"""Run processes of this machine under supervisord."""
