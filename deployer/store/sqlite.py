"""In: a file. Out: an SQLite connection for several threads, with the Deployer's tables made."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from deployer.store.recordformat import raise_if_unknown

SCHEMA: Final = 1
"""Which tables these are. Others say so in `memory`; where nothing is said it is these."""

WHICH: Final = "SELECT value FROM memory WHERE name = 'schema'"
WHAT: Final = "The Deployer's database"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
  id TEXT PRIMARY KEY, version INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS memory (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS history (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, deployment TEXT NOT NULL,
  kind TEXT NOT NULL, action TEXT NOT NULL, before TEXT, after TEXT,
  why TEXT NOT NULL, who TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS history_of ON history (deployment, sequence);
CREATE TRIGGER IF NOT EXISTS history_keeps BEFORE UPDATE ON history
BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
CREATE TRIGGER IF NOT EXISTS history_stays BEFORE DELETE ON history
BEGIN SELECT RAISE(ABORT, 'history is append-only'); END;
"""


class Transactions(Protocol):
    """What records and history ask of a database: SQLite's here, PostgreSQL's in its own module."""

    def transaction(self) -> AbstractContextManager[Any]:
        """A connection for one transaction: committed at the end, rolled back on an error."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Database:
    """One SQLite file. Every write is on disk when the call returns (WAL, synchronous=FULL).

    Raises:
        FormatUnknown: It has tables that are not known here; nothing in it is changed.
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
        self._connection.executescript(_SCHEMA)
        path.chmod(0o600)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction: committed at the end, rolled back on an error."""
        with self._lock, self._connection:
            yield self._connection

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def _raise_if_unknown(self) -> None:
        tables = "SELECT name FROM sqlite_master WHERE name = 'memory'"
        if self._connection.execute(tables).fetchone():
            found = self._connection.execute(WHICH).fetchone()
            raise_if_unknown(found[0] if found else SCHEMA, WHAT, SCHEMA)
