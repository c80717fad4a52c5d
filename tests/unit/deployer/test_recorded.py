"""An upgrade, and a downgrade: what a Deployer kept is read whole by another, or left as it is."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from support import recorded

from deployer import __main__ as command, service
from deployer.errors import FormatUnknown
from deployer.state.record import Record
from deployer.store import recordformat
from deployer.store.history import History
from deployer.store.records import Records
from deployer.store.sqlite import Database
from deployer.targets.kubernetes.cache.objects import DEPLOYMENT_ID, LiveObject, Packer
from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.records import crd
from deployer.targets.kubernetes.records.crd import RecordUnreadable
from deployer.targets.kubernetes.records.records import ClusterRecords

NAMES = sorted(path.name for path in recorded.FOLDER.iterdir())
NEWEST = "3-with-a-twin"


@pytest.fixture
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of what was recorded under a name."""
    name = getattr(request, "param", NEWEST)
    return Path(shutil.copytree(recorded.FOLDER / name, tmp_path / "kept"))


def rows(folder: Path) -> dict[str, list[Any]]:
    """All that a database holds, as it is on disk."""
    connection = sqlite3.connect(folder / recorded.DATABASE)
    found = {
        table: connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()  # noqa: S608
        for table in ("records", "memory", "history")
    }
    connection.close()
    return found


def objects(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / recorded.OBJECTS).read_text())
    return found


def without_specs(folder: Path) -> Any:
    """All that was kept, but for the one whose serving spec holds each default of its day."""
    kept = rows(folder)
    kept["records"] = [row for row in kept["records"] if row[0] != "angler-prod"]
    return kept, [one for one in objects(folder) if one["metadata"]["name"] != "angler-prod"]


def lost(before: Any, after: Any) -> list[str]:
    """The fields that one has and the other has not, or not so."""
    if isinstance(before, dict) and isinstance(after, dict):
        gone = [key for key in before if key not in after]
        return gone + [f"{k}.{w}" for k in before.keys() & after for w in lost(before[k], after[k])]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [what for pair in zip(before, after, strict=True) for what in lost(*pair)]
    return [] if before == after else [f"{before!r} is {after!r}"]


def whole(record: Record, form: object) -> Any:
    """A record with its defaults, as a format keeps it."""
    fields = json.loads(json.dumps(TypeAdapter(Record).dump_python(record, mode="json")))
    if int(str(form)) == 1:
        fields["marks"] = fields.pop("promotions")
        [champion] = fields.pop("predictors").get("champion") or [
            {"predictor": None, "since": None}
        ]
        fields |= {"serving": champion["predictor"], "serving_since": champion["since"]}
    return fields


@pytest.mark.parametrize("kept", NAMES, indirect=True)
def test_every_recorded_database_is_read_whole_and_nothing_of_it_is_written_again(kept):
    before = rows(kept)
    database = Database(kept / recorded.DATABASE)
    records, history = Records(database), History(database)
    assert before["records"]
    for key, form, body in before["records"]:
        record = records.load(key)
        assert lost(json.loads(body), whole(record, form)) == []
        records.save(record)
    for name, value in before["memory"]:
        assert records.get(name) == value
    told = [event for key in {row[2] for row in before["history"]} for event in history.of(key)]
    assert sorted(event["sequence"] for event in told) == [row[0] for row in before["history"]]
    assert {e["why"] for e in told} == {row[7] for row in before["history"]}
    database.close()
    assert rows(kept) == before


@pytest.mark.parametrize("kept", NAMES, indirect=True)
def test_every_recorded_object_is_read_whole_and_is_the_record_of_the_database(kept):
    database = Database(kept / recorded.DATABASE)
    same = {record.id: record for record in Records(database).all()}
    database.close()
    for obj in objects(kept):
        record = crd.record_of(obj)
        form = obj["metadata"]["annotations"][crd.FORMAT_NOTE]
        assert lost(obj["spec"]["record"], whole(record, form)) == []
        assert same.pop(record.id) == record
    assert not same


def test_the_newest_recording_is_what_is_written_now(tmp_path):
    recorded.write(tmp_path / "now")
    for folder in (now := tmp_path / "now", newest := recorded.FOLDER / NEWEST):
        assert {row[0] for row in rows(folder)["records"]} > {"angler-prod"}
    assert without_specs(now) == without_specs(newest), recorded.__doc__


def test_a_recording_has_a_value_of_its_own_for_each_field_that_a_record_may_have():
    plain: set[tuple[str, str]] = set()
    own: set[tuple[str, str]] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            value = tuple(value.values())
        if isinstance(value, tuple):
            for each in value:
                walk(each)
        if is_dataclass(value):
            for field in fields(value):
                held = getattr(value, field.name)
                (own if held not in (None, "", (), {}, False) else plain).add(
                    (type(value).__name__, field.name)
                )
                walk(held)

    walk(recorded.everything())
    assert plain - own == set()


def another_format(body: dict[str, Any]) -> int:
    return recordformat.FORMAT + 1


def another_field(body: dict[str, Any]) -> int:
    body["approvals"] = []
    return recordformat.FORMAT


def another_field_within(body: dict[str, Any]) -> int:
    body["candidate"]["predictor"]["version"]["workspace"] = "w"
    return recordformat.FORMAT


def another_value(body: dict[str, Any]) -> int:
    body["candidate"]["predictor"]["role"] = "oracle"
    return recordformat.FORMAT


UNKNOWN = [another_format, another_field, another_field_within, another_value]


@pytest.fixture
def start(kept: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], int]]:
    """`python -m deployer run` on this machine, with what was kept there; 0 if it went on."""
    monkeypatch.setenv("SCHNITZEL_HOME", str(kept.parent))
    monkeypatch.setattr(service.Service, "run", lambda _: 0)
    (kept.parent / "deployer").mkdir()
    home = kept.parent / "deployer" / recorded.DATABASE
    home.symlink_to(kept / recorded.DATABASE)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield lambda: command.main(["run"])
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("change", UNKNOWN)
def test_a_record_that_is_not_known_ends_the_start_and_stays_as_it_is(kept, start, change, capsys):
    with sqlite3.connect(kept / recorded.DATABASE) as connection:
        query = "SELECT body FROM records WHERE id = 'foret-prod'"
        body = json.loads(connection.execute(query).fetchone()[0])
        form = change(body)
        connection.execute(
            "UPDATE records SET version = ?, body = ? WHERE id = 'foret-prod'",
            [form, json.dumps(body)],
        )
    connection.close()
    before = (kept / recorded.DATABASE).read_bytes()
    assert start() == 2
    said = capsys.readouterr().err
    assert "error: The record of foret-prod in the Deployer's database" in said
    assert "hint: " in said
    assert "Traceback" not in said
    assert (kept / recorded.DATABASE).read_bytes() == before


OLDER = [name for name in NAMES if name.startswith("1")]


@pytest.mark.parametrize("kept", OLDER, indirect=True)
def test_a_record_of_an_older_format_is_written_in_the_present_one_when_it_changes(kept):
    database = Database(kept / recorded.DATABASE)
    records = Records(database)
    changed = replace(records.load("foret-prod"), note="changed")
    records.save(changed)
    database.close()
    forms = {key: form for key, form, _ in rows(kept)["records"]}
    assert forms == dict.fromkeys(forms, 1) | {"foret-prod": recordformat.FORMAT}
    database = Database(kept / recorded.DATABASE)
    assert Records(database).load("foret-prod") == changed
    database.close()


@pytest.mark.parametrize("kept", OLDER, indirect=True)
def test_an_object_of_an_older_format_gets_the_present_one_with_its_changed_record(kept):
    obj = next(one for one in objects(kept) if one["metadata"]["name"] == "foret-prod")
    changed = replace(crd.record_of(obj), note="changed")
    obj["metadata"]["annotations"]["team"] = "forest"
    for operation in crd.changes(obj, changed):
        *folders, name = operation["path"].removeprefix("/").split("/")
        place = obj
        for folder in folders:
            place = place[folder]
        place[name] = operation["value"]
    assert crd.record_of(obj) == changed
    assert obj["metadata"]["annotations"] == {
        crd.FORMAT_NOTE: str(recordformat.FORMAT), "team": "forest",
    }  # fmt: skip


def test_a_database_with_other_tables_ends_the_start_and_stays_as_it_is(kept, start, capsys):
    with sqlite3.connect(kept / recorded.DATABASE) as connection:
        connection.execute("INSERT INTO memory (name, value) VALUES ('schema', '2')")
        connection.execute("DROP TABLE records")
    connection.close()
    before = (kept / recorded.DATABASE).read_bytes()
    assert start() == 2
    assert "The Deployer's database has format 2" in capsys.readouterr().err
    assert (kept / recorded.DATABASE).read_bytes() == before


def test_a_record_that_a_newer_deployer_kept_meanwhile_is_not_overwritten(kept):
    database = Database(kept / recorded.DATABASE)
    records = Records(database)
    with database.transaction() as connection:
        connection.execute("UPDATE records SET version = 3, body = '{}'")
    before = rows(kept)
    with pytest.raises(FormatUnknown, match="young-staging"):
        records.save(Record("young-staging", "young", "staging", note="mine"))
    assert rows(kept) == before
    assert records.load("young-staging").note == ""
    database.close()


def test_a_field_at_its_default_is_not_kept_so_that_an_older_deployer_reads_the_record():
    assert recordformat.body(Record("a-prod", "a", "prod")) == {
        "id": "a-prod", "model": "a", "environment": "prod",
    }  # fmt: skip


class Cluster:
    """What a cache shows of a cluster, and every write that is sent there."""

    platform = "p1"

    def __init__(self, *found: dict[str, Any]) -> None:
        self.writes: list[str] = []
        meta = {"uid": "u", "resourceVersion": "1"}
        self.found = [
            Packer(kinds.MODEL_DEPLOYMENT).pack(one | {"metadata": one["metadata"] | meta})
            for one in found
        ]

    def all(self, _: object) -> list[LiveObject]:
        return self.found

    def find(self, _: object, key: str) -> LiveObject | None:
        return next((live for live in self.found if live.key.name == key), None)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *_, **__: self.writes.append(name)


def in_cluster(change: Callable[[dict[str, Any]], int]) -> Cluster:
    mine, *others = recorded.objects()
    mine["metadata"]["annotations"][crd.FORMAT_NOTE] = str(change(mine["spec"]["record"]))
    assert mine["metadata"]["labels"][DEPLOYMENT_ID] == "foret-prod"
    return Cluster(*others, mine)


@pytest.mark.parametrize("change", UNKNOWN[:3])
def test_a_record_of_a_cluster_that_is_not_known_ends_the_start_and_is_not_overwritten(change):
    cluster: Any = in_cluster(change)
    records = ClusterRecords(cluster, cluster, lambda *_: "models-prod")
    with pytest.raises(FormatUnknown, match="models-prod/foret-prod") as caught:
        records.raise_if_unknown()
    assert "which one is not known here" in caught.value.hint
    for touch in (lambda: records.save(recorded.everything()), lambda: records.load("foret-prod")):
        with pytest.raises(RecordUnreadable, match="models-prod/foret-prod"):
            touch()
    assert cluster.writes == []


def test_a_record_of_a_cluster_that_somebody_spoilt_holds_up_no_other(monkeypatch):
    cluster: Any = in_cluster(another_value)
    records = ClusterRecords(cluster, cluster, lambda *_: "models-prod")
    records.raise_if_unknown()
    with pytest.raises(RecordUnreadable, match="cannot be read"):
        records.load("foret-prod")
    assert {record.id for record in records.all()} == {"angler-prod", "young-staging"}
    assert cluster.writes == []


def test_a_cluster_that_cannot_be_seen_does_not_end_the_start(monkeypatch):
    cluster: Any = in_cluster(another_format)

    def blind(_: object) -> list[LiveObject]:
        raise crd.ApiError("away")

    monkeypatch.setattr(cluster, "all", blind)
    ClusterRecords(cluster, cluster, lambda *_: "models-prod").raise_if_unknown()
