"""Provide the database of `store.sqlite` in PostgreSQL, which several Deployers reach.

Two Deployers that stand by for each other need it: the history, the registry's marker and the
memory of written tags must outlive the machine of either.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg

from deployer.errors import DatabaseUnavailable
from deployer.store import tables
from deployer.store.recordformat import raise_if_unknown

_LOCK = 0x5C47  # held while tables are created, so that two first starts do not collide
CONNECT_SECONDS = 5


class _Connection:
    """A connection that accepts the question marks of SQLite's statements."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def execute(self, statement: str, values: Sequence[Any] = ()) -> psycopg.Cursor[Any]:
        return self._connection.execute(statement.replace("?", "%s").encode(), values)


class PostgresDatabase:
    """A database with one connection, which is reopened after it broke.

    Args:
        url: Such as "postgresql://user:password@host:5432/name"; it is never shown or logged.

    Raises:
        DatabaseUnavailable: The database does not answer, or refuses the connection.
        FormatUnknown: The database has tables of an unknown schema; nothing in it is changed.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.RLock()
        self._connection: psycopg.Connection[Any] | None = None
        with self._translate_errors(), self._open() as connection, connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            known = connection.execute("SELECT to_regclass('memory')").fetchone()
            if known and known[0]:
                found = connection.execute(tables.WHICH.encode()).fetchone()
                schema = found[0] if found else tables.SCHEMA
                raise_if_unknown(schema, tables.WHAT, tables.SCHEMA)
            connection.execute(tables.POSTGRES.encode())

    @contextmanager
    def transaction(self) -> Iterator[_Connection]:
        """Open a transaction: commit it at the end, roll it back on an error."""
        with self._lock, self._translate_errors():
            if self._connection is None or self._connection.broken or self._connection.closed:
                self._connection = self._open()
            with self._connection.transaction():
                yield _Connection(self._connection)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()

    def _open(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            options="-c statement_timeout=10000",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
        )

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.OperationalError as error:
            # The error's text may contain the address, and never contains the password.
            lines = str(error).strip().splitlines()
            why = lines[0] if lines else "it gives no reason"
            raise DatabaseUnavailable(
                f"The Deployer's PostgreSQL does not answer: {why}.",
                "Look at the database, and at what deployer.database_ref names.",
            ) from error
