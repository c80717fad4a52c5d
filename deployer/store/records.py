"""Store records in the database, as one small JSON document per deployment."""

from __future__ import annotations

import json
from collections.abc import Mapping

from deployer.errors import FormatUnknown
from deployer.state.record import Record
from deployer.store import recordformat
from deployer.store.recordformat import FORMAT
from deployer.store.sqlite import Transactions


class Records:
    """The records of a platform, in memory and on disk; a record is on disk when `save` returns.

    Raises:
        FormatUnknown: A record cannot be read; no record is overwritten.
    """

    def __init__(self, database: Transactions) -> None:
        self._database = database
        with database.transaction() as connection:
            rows = connection.execute("SELECT id, version, body FROM records").fetchall()
        self._cache = {key: _read(key, form, body) for key, form, body in rows}

    def load(self, key: str) -> Record | None:
        """Return the record of a deployment; None if there is none yet."""
        return self._cache.get(key)

    def save(self, record: Record) -> None:
        """Save a record, if it changed.

        Raises:
            FormatUnknown: Another Deployer saved the record in another format since it was read.
        """
        if self._cache.get(record.id) == record:
            return
        body = json.dumps(recordformat.body(record), separators=(",", ":"))
        with self._database.transaction() as connection:
            kept = connection.execute(
                "INSERT INTO records (id, version, body) VALUES (?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET body = excluded.body, version = excluded.version "
                "WHERE records.version <= excluded.version",
                [record.id, FORMAT, body],
            )
            if not kept.rowcount:
                raise FormatUnknown(
                    f"The record of {record.id} in the Deployer's database has another format than "
                    f"{FORMAT} by now.",
                    recordformat.HINT,
                )
        self._cache[record.id] = record

    def all(self) -> list[Record]:
        """Return every record, in no order."""
        return list(self._cache.values())

    def get(self, name: str) -> str | None:
        """Return a single value of the platform; None if there is none."""
        with self._database.transaction() as connection:
            row = connection.execute("SELECT value FROM memory WHERE name = ?", [name]).fetchone()
        return str(row[0]) if row else None

    def set(self, name: str, value: str) -> None:
        """Save a single value of the platform."""
        self.set_all({name: value})

    def get_all(self, prefix: str) -> dict[str, str]:
        """Return every value whose name begins with `prefix`, by its whole name."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT name, value FROM memory WHERE substr(name, 1, ?) = ?", [len(prefix), prefix]
            ).fetchall()
        return {str(name): str(value) for name, value in rows}

    def set_all(self, values: Mapping[str, str | None]) -> None:
        """Save several values in one transaction; None deletes a value."""
        with self._database.transaction() as connection:
            for name, value in values.items():
                if value is None:
                    connection.execute("DELETE FROM memory WHERE name = ?", [name])
                    continue
                connection.execute(
                    "INSERT INTO memory (name, value) VALUES (?, ?) "
                    "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    [name, value],
                )


def _read(key: str, form: int, body: str) -> Record:
    where = f"{key} in the Deployer's database"
    try:
        return recordformat.record_of(json.loads(body), form, where)
    except ValueError as error:
        raise FormatUnknown(
            f"The record of {where} cannot be read as format {form}.",
            "Run the version of Schnitzel that wrote it, or bring the database back from a backup.",
        ) from error
