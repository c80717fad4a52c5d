from __future__ import annotations

import json
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from support.world import World

from deployer.state.predictor import Role
from deployer.state.record import (
    Absence,
    Candidate,
    Draining,
    Failure,
    FormerChampion,
    Promotion,
    Record,
    RoleHolder,
)
from deployer.state.registry import VersionId
from deployer.store.history import Event, History
from deployer.store.records import Records
from deployer.store.sqlite import Database


def predictor():
    world = World()
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.settle()
    return world.record.champion


VERSIONS = st.builds(VersionId, st.text(min_size=1), st.integers(1), st.integers(0), st.text())
TIMES = st.floats(0, 4e9)
PREDICTORS = st.just(predictor())
PROMOTIONS = st.lists(st.builds(Promotion, VERSIONS, st.text(), st.integers(1), TIMES)).map(tuple)
RECORDS = st.builds(
    Record,
    id=st.just("one"),
    model=st.text(min_size=1),
    environment=st.just("prod"),
    promotions=PROMOTIONS,
    predictors=st.dictionaries(
        st.sampled_from(Role), st.tuples(st.builds(RoleHolder, PREDICTORS, st.none() | TIMES))
    ),
    former=st.lists(st.builds(FormerChampion, VERSIONS, st.text(), TIMES)).map(tuple),
    candidate=st.none() | st.builds(Candidate, PREDICTORS, TIMES),
    draining=st.lists(st.builds(Draining, PREDICTORS), max_size=2).map(tuple),
    failures=st.dictionaries(st.text(), st.builds(Failure, st.text(), st.text(), st.text(), TIMES)),
    absence=st.none() | st.builds(Absence, TIMES, st.integers(0), TIMES, PROMOTIONS),
    adopt=st.lists(st.text(), max_size=2).map(tuple),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(record=RECORDS)
def test_a_record_is_the_same_after_a_restart(tmp_path, record):
    database = Database(tmp_path / "d.db")
    Records(database).save(record)
    database.close()
    again = Database(tmp_path / "d.db")
    assert Records(again).load("one") == record
    again.close()


def test_history_keeps_its_order_and_refuses_to_be_changed(tmp_path):
    database = Database(tmp_path / "d.db")
    history = History(database)
    for number in range(3):
        event = Event("a", "intent", f"act {number}", "1", "2", "why", "who")
        history.append(event, 1.5 + number)
    assert [event["action"] for event in history.of("a", 2)] == ["act 1", "act 2"]
    assert history.of("a")[0]["at"] == "1970-01-01T00:00:01.500+00:00"
    for statement in ("DELETE FROM history", "UPDATE history SET who = 'me'"):
        with pytest.raises(sqlite3.DatabaseError, match="append-only"), database.transaction() as c:
            c.execute(statement)
    assert len(history.of("a")) == 3
    database.close()


def test_a_record_from_before_a_field_was_added_can_be_read(tmp_path):
    database = Database(tmp_path / "d.db")
    Records(database).save(Record("one", "angler", "prod", adopt=("uid",)))
    with database.transaction() as connection:
        [row] = connection.execute("SELECT body FROM records").fetchall()
        body = {name: value for name, value in json.loads(row[0]).items() if name != "adopt"}
        connection.execute("UPDATE records SET body = ?", [json.dumps(body)])
    assert Records(database).load("one") == Record("one", "angler", "prod")
    database.close()
