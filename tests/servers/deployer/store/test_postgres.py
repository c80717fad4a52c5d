"""What SQLite keeps on one machine, PostgreSQL keeps for two."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from support import recorded
from support.evidence import kept_and_returned
from support.run.ports import free_port
from support.systems.postgres import running_postgres

from deployer import __main__ as command, service
from deployer.errors import DatabaseUnavailable, FormatUnknown
from deployer.state.record import Record
from deployer.store import recordformat
from deployer.store.evidence import EvidenceStore
from deployer.store.history import Event, History
from deployer.store.postgres import PostgresDatabase
from deployer.store.records import Records


@pytest.fixture(scope="module")
def url():
    with running_postgres() as address:
        yield address


def test_records_and_memory_are_the_same_for_another_deployer(url):
    first, second = PostgresDatabase(url), PostgresDatabase(url)
    record = Record("calm-prod", "calm", "prod", note="what? 100 % so")
    Records(first).save(record)
    Records(first).set("marker", "1:2")
    assert Records(second).load("calm-prod") == record
    assert Records(second).get("marker") == "1:2"
    first.close()
    second.close()


def test_evidence_is_the_same_for_another_deployer(url):
    first, second = PostgresDatabase(url), PostgresDatabase(url)
    kept_and_returned(EvidenceStore(first))
    assert len(EvidenceStore(second).verdicts("angler-prod")) == 2
    first.close()
    second.close()


def test_history_keeps_its_order_and_refuses_to_be_changed(url):
    database = PostgresDatabase(url)
    history = History(database)
    for number in range(3):
        history.append(Event("a", "intent", f"act {number}", "1", None, "why", "who"), 1.5 + number)
    assert [event["action"] for event in history.of("a", 2)] == ["act 1", "act 2"]
    for statement in ("DELETE FROM history", "UPDATE history SET who = 'me'"):
        with pytest.raises(psycopg.Error, match="append-only"), database.transaction() as db:
            db.execute(statement)
    assert len(history.of("a")) == 3
    database.close()


def test_a_connection_that_broke_is_made_anew(url):
    database = PostgresDatabase(url)
    with database.transaction() as db:
        (own,) = db.execute("SELECT pg_backend_pid()").fetchone()
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [own])
    with pytest.raises(DatabaseUnavailable), database.transaction() as db:
        db.execute("SELECT 1")
    with database.transaction() as db:
        assert db.execute("SELECT 1").fetchone() == (1,)
    database.close()


def test_one_that_is_not_there_is_said_without_the_password():
    url = f"postgresql://me:hunter2@127.0.0.1:{free_port()}/db"
    with pytest.raises(DatabaseUnavailable) as said:
        PostgresDatabase(url)
    assert "hunter2" not in said.value.message
    assert "refused" in said.value.message


@pytest.fixture
def own(url: str) -> Iterator[str]:
    """A database of a test's own."""
    with psycopg.connect(url, autocommit=True) as server:
        server.execute("CREATE DATABASE own")
        yield make_conninfo(**conninfo_to_dict(url) | {"dbname": "own"})
        server.execute("DROP DATABASE own WITH (FORCE)")


def rows(url: str) -> list[Any]:
    """All that is kept, each row with the transaction that wrote it."""
    with psycopg.connect(url) as connection:
        return [
            connection.execute(query).fetchall()
            for query in (
                "SELECT xmin, * FROM records ORDER BY id",
                "SELECT xmin, * FROM memory ORDER BY name",
            )
        ]


def test_a_record_of_an_older_format_is_written_in_the_present_one_when_it_changes(own):
    with sqlite3.connect(recorded.FOLDER / "1-touched" / recorded.DATABASE) as known:
        older = known.execute("SELECT id, version, body FROM records").fetchall()
    known.close()
    with closing(PostgresDatabase(own)) as database:
        with database.transaction() as connection:
            for row in older:
                connection.execute("INSERT INTO records (id, version, body) VALUES (?, ?, ?)", row)
        before = rows(own)
        records = Records(database)
        for record in records.all():
            records.save(record)
        assert rows(own) == before, "what did not change is not written"
        changed = replace(records.load("foret-prod"), note="changed")
        records.save(changed)
        assert Records(database).load("foret-prod") == changed
        with database.transaction() as connection:
            forms = dict(connection.execute("SELECT id, version FROM records").fetchall())
    assert forms == {row[0]: 1 for row in older} | {"foret-prod": recordformat.FORMAT}


@pytest.mark.parametrize("what", ["format", "field", "tables"])
def test_what_is_in_an_unknown_format_ends_the_start_and_stays_as_it_is(
    own, what, tmp_path, monkeypatch, capsys
):
    with closing(PostgresDatabase(own)) as database:
        records = Records(database)
        for record in recorded.records():
            records.save(record)
        with database.transaction() as connection:
            [body] = connection.execute(
                "SELECT body FROM records WHERE id = 'foret-prod'"
            ).fetchone()
            newer = json.dumps(json.loads(body) | {"approvals": []})
            change, values = {
                "format": ("UPDATE records SET version = 3 WHERE id = 'foret-prod'", []),
                "field": ("UPDATE records SET body = ? WHERE id = 'foret-prod'", [newer]),
                "tables": ("INSERT INTO memory (name, value) VALUES ('schema', '2')", []),
            }[what]
            connection.execute(change, values)
    before = rows(own)
    (tmp_path / "platform.yaml").write_text("deployer: {database_ref: env:THE_DATABASE}\n")
    monkeypatch.setenv("SCHNITZEL_HOME", str(tmp_path))
    monkeypatch.setenv("THE_DATABASE", own)
    monkeypatch.setattr(service.Service, "run", lambda _: 0)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    status = command.main(["run"])
    for number, handler in handlers.items():
        signal.signal(number, handler)
    assert status == 2
    said = capsys.readouterr().err
    assert ("The Deployer's database has format 2" if what == "tables" else "foret-prod") in said
    assert "hint: Another version of Schnitzel wrote it" in said
    assert rows(own) == before


def test_a_record_that_a_newer_deployer_kept_meanwhile_is_not_overwritten(own):
    with closing(PostgresDatabase(own)) as database:
        records = Records(database)
        records.save(Record("calm-prod", "calm", "prod"))
        with database.transaction() as connection:
            connection.execute("UPDATE records SET version = 3, body = '{}'")
        before = rows(own)
        with pytest.raises(FormatUnknown, match="calm-prod"):
            records.save(Record("calm-prod", "calm", "prod", note="mine"))
        assert rows(own) == before
