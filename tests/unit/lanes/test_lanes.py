"""The program that runs the lanes: what it chooses, and what its table says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lanes import nightly, results
from lanes.lane import LANES, SETS, chosen
from lanes.results import Row
from support import ROOT


def phase(test: str, when: str, outcome: str = "passed", said: str = "", wall: float = 1.0) -> str:
    line = {"test": test, "when": when, "outcome": outcome, "wall": wall, "cpu": 0.5, "said": said}
    return json.dumps(line) + "\n"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record.jsonl"
    path.write_text(
        json.dumps({"total": 4})
        + "\n"
        + phase("a.py::one", "setup", wall=7)
        + phase("a.py::one", "call")
        + phase("a.py::one", "teardown")
        + phase("a.py::two", "setup")
        + phase("a.py::two", "call", "failed", "assert 1 == 2")
        + phase("a.py::two", "teardown", "failed", "left behind")
        + phase("b.py::one", "setup", "skipped", "('b.py', 3, 'Skipped: no such program')")
        + phase("b.py::two", "setup", "failed", "no platform")
        + '{"test": "b.py::three", "when"'  # it is written just now
    )
    return path


def test_a_test_is_what_its_first_bad_phase_was_and_takes_what_all_took(record: Path) -> None:
    found = results.read(record)
    assert found.total == 4
    assert [test.name for test in found.of("passed")] == ["a.py::one"]
    two = found.tests["a.py::two"]
    assert (two.outcome, two.when, two.said) == ("failed", "call", "assert 1 == 2")
    assert (found.tests["a.py::one"].wall, found.tests["a.py::one"].cpu) == (9, 1.5)
    assert found.slowest(1) == [found.tests["a.py::one"]]


def test_what_a_module_set_up_and_failed_is_one_cause() -> None:
    failed = [
        results.Test("a.py::one", "failed", "setup"),
        results.Test("a.py::two", "failed", "setup"),
        results.Test("a.py::three", "failed", "call"),
    ]
    assert results.causes(failed) == {"a.py (setup)": failed[:2], "a.py::three": failed[2:]}


def test_the_table_has_lanes_the_slowest_the_skipped_and_the_flaky(record: Path) -> None:
    told = results.table([Row("servers", results.read(record), 725.0, 61.0)], ["a.py::two"])
    header, row, *rest = told.splitlines()
    assert header.split() == ["lane", "tests", "failed", "skipped", "wall", "CPU"]
    assert row.split() == ["servers", "4", "2", "1", "12:05", "1:01"]
    assert "     9.0 s  a.py::one" in rest
    assert "  servers: no such program" in rest
    assert rest[-1] == "FLAKY a.py::two"


def test_words_name_sets_and_lanes_and_each_lane_runs_once() -> None:
    assert [lane.name for lane in chosen(["test", "unit"])] == [
        *("unit", "apiserver", "servers", "smoke")
    ]
    assert [lane.name for lane in chosen(["node"])] == ["node"]
    assert chosen(["node"])[0].options == ("--ignore=tests/node/smoke",)
    assert [lane.options for lane in chosen(["guard"]) if lane.name == "node"] == [()]


def test_every_folder_of_tests_is_in_a_lane_and_every_lane_is_there() -> None:
    shared = {"contract", "lanes", "standins", "support", "__pycache__"}
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()} - shared
    lanes = {Path(path).parts[1] for lane in LANES.values() for path in lane.paths}
    assert folders == lanes
    assert {lane.name for lane in SETS["all"]} == set(LANES) - {"smoke"}


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    seconds = {f"tests/nightly/m{n % 5}.py::test_{n}": 20.0 + n for n in range(30)}
    path = tmp_path / "seconds.json"
    path.write_text(json.dumps(seconds | {"tests/nightly/gone.py::test": 1.0}))
    monkeypatch.setattr(nightly, "SECONDS", path)
    return seconds


def test_a_sample_keeps_to_its_time_and_is_the_same_for_the_same_seed(
    known: dict[str, float],
) -> None:
    tests = [*known, "tests/nightly/new.py::test"]
    for seed in ("a1", "b2", "c3"):
        drawn = nightly.sample(seed, tests)
        assert drawn == nightly.sample(seed, reversed(tests))
        assert drawn
        assert sum(known[name] for name in drawn) <= nightly.BUDGET


def test_in_time_every_test_of_nightly_is_drawn_whose_time_is_known(
    known: dict[str, float],
) -> None:
    cold = "tests/nightly/serving/test_flavours.py::test_keras"
    nightly.SECONDS.write_text(json.dumps(known | {cold: 1.0}))
    tests = [*known, "tests/nightly/new.py::test", cold]
    drawn = {name for seed in range(60) for name in nightly.sample(str(seed), tests)}
    assert drawn == set(known)


def test_what_a_module_sets_up_is_paid_once(known: dict[str, float]) -> None:
    modules = {f"tests/nightly/m{n}.py": 40.0 for n in range(5)}
    nightly.SECONDS.write_text(json.dumps(known | modules))
    for seed in ("a1", "b2", "c3"):
        drawn = nightly.sample(seed, known)
        begun = {name.partition("::")[0] for name in drawn}
        costs = sum(known[name] for name in drawn) + sum(modules[name] for name in begun)
        assert nightly.BUDGET - 20 - 30 - 40 <= costs <= nightly.BUDGET
        assert len(drawn) > len(begun), "a module that is paid for serves several tests"


def test_how_long_each_took_is_kept_with_its_own_setup_and_the_modules(
    known: dict[str, float], tmp_path: Path
) -> None:
    took = {"one": (61.0, 5.0, 0.5), "two": (1.0, 7.0, 30.5), "three": (2.0, 1.0, 0.5)}
    lines = [
        {
            "test": f"a.py::{name}",
            "when": when,
            "outcome": "passed",
            "wall": wall,
            "cpu": 0,
            "said": "",
        }
        for name, walls in took.items()
        for when, wall in zip(("setup", "call", "teardown"), walls, strict=True)
    ]
    record = tmp_path / "nightly.jsonl"
    record.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    nightly.keep(results.read(record))
    kept = json.loads(nightly.SECONDS.read_text())
    assert {name: kept[f"a.py::{name}"] for name in took} == {"one": 7.5, "two": 9.5, "three": 3.5}
    assert kept["a.py"] == 61.5 - 2.5 + 31.5 - 2.5
    assert kept.items() >= known.items()
