"""What SQLite keeps on one machine, PostgreSQL keeps for two."""

from __future__ import annotations

import psycopg
import pytest
from support.run.ports import free_port
from support.systems.postgres import running_postgres

from deployer.errors import DatabaseUnavailable
from deployer.history import Event, History
from deployer.postgres import PostgresDatabase
from deployer.records import Records
from deployer.state import Record


@pytest.fixture(scope="module")
def url():
    with running_postgres() as address:
        yield address


def test_records_and_memory_are_the_same_for_another_deployer(url):
    first, second = PostgresDatabase(url), PostgresDatabase(url)
    record = Record("calm-prod", "calm", "prod", note="what? 100 % so")
    Records(first).save(record)
    Records(first).remember("marker", "1:2")
    assert Records(second).load("calm-prod") == record
    assert Records(second).recall("marker") == "1:2"
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
