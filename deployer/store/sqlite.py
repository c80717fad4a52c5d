"""Provide the Deployer's SQLite database, with its tables, to several threads."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from deployer.store import tables
from deployer.store.recordformat import raise_if_unknown


class Transactions(Protocol):
    """The database that records and history need: SQLite's here, PostgreSQL's in its module."""

    def transaction(self) -> AbstractContextManager[Any]:
        """Open a transaction: commit it at the end, roll it back on an error."""
        ...

    def close(self) -> None:
        """Close the database."""
        ...


class Database:
    """An SQLite file; every write is on disk when the call returns (WAL, synchronous=FULL).

    Raises:
        FormatUnknown: The file has tables of an unknown schema; nothing in it is changed.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, check_same_thread=False, timeout=10)
        try:
            self._raise_if_unknown()
        except BaseException:
            self._connection.close()
            raise
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.executescript(tables.SQLITE)
        path.chmod(0o600)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction: commit it at the end, roll it back on an error."""
        with self._lock, self._connection:
            yield self._connection

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _raise_if_unknown(self) -> None:
        known = "SELECT name FROM sqlite_master WHERE name = 'memory'"
        if self._connection.execute(known).fetchone():
            found = self._connection.execute(tables.WHICH).fetchone()
            raise_if_unknown(found[0] if found else tables.SCHEMA, tables.WHAT, tables.SCHEMA)
