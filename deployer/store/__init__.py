"""Store records and history over restarts, in SQLite, in PostgreSQL or on a cluster."""
