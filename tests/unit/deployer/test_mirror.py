"""Tags on versions, where what keeps account of them, or MLflow, does not do as it should."""

from __future__ import annotations

import threading

import pytest
from support.run.ports import free_port
from support.run.wait import wait_for

from deployer.database import Database
from deployer.errors import DatabaseUnavailable
from deployer.mirror import Mirror, Reflection
from deployer.records import Records
from deployer.rest import Rest
from deployer.state import VersionId

REFLECTION = Reflection(VersionId("angler", 1, 1), "prod", "Serving", "http://gateway/prod/angler/")


class Forgetful(Records):
    """Fails at the first thing that it is to remember."""

    error: Exception = DatabaseUnavailable("it is away")
    failed = 0

    def remember(self, name: str, value: str) -> None:
        if not self.failed:
            self.failed += 1
            raise self.error
        super().remember(name, value)


@pytest.mark.parametrize("error", [DatabaseUnavailable("away"), KeyError("nobody thought of it")])
def test_what_cannot_be_remembered_is_written_again(tmp_path, monkeypatch, error):
    monkeypatch.setattr("deployer.mirror.RETRY_SECONDS", 0.05)
    database = Database(tmp_path / "deployer.db")
    records = Forgetful(database)
    records.error = error
    rest = Rest(f"http://127.0.0.1:{free_port()}")
    written = threading.Event()
    monkeypatch.setattr(Mirror, "_write", lambda *_: None)
    mirror = Mirror(rest, records, written.set)
    try:
        mirror.show(REFLECTION)
        assert written.wait(10), "the mirror's thread has ended"
        wait_for(lambda: records.failed == 1 and not mirror._pending, "the second try")
    finally:
        mirror.close()
        rest.close()
        database.close()
