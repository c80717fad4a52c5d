"""What survives a restart: records and history, in SQLite, in PostgreSQL, on a cluster."""
