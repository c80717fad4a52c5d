"""A failure is run once more, alone: chance passes and is reported, a fault does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lanes import commands, running
from lanes.lane import Lane

TESTS = Path(__file__).parents[2]
CHANCE = """
from pathlib import Path
def test_chance():
    seen = Path(__file__).with_suffix(".seen")
    if not seen.exists():
        seen.touch()
        raise AssertionError("the first time it fails")
"""
FAULT = "def test_fault():\n    assert 1 == 2, 'it always fails'\n"
GOOD = "def test_good():\n    pass\n"


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run tests with these texts as a lane, then what failed once more; the run."""
    monkeypatch.setattr(commands, "FOLDER", tmp_path)
    real = running.run
    alone = ("--rootdir", str(tmp_path), "-c", os.devnull)

    def run_there(name: str, words: list[str], folder: Path, env: dict[str, str]):
        words = [word for word in words if not word.startswith("--hypothesis")]
        return real(name, [*words, *alone, "-p", "support.record"], folder, env, tmp_path)

    monkeypatch.setattr(running, "run", run_there)

    def make(*texts: str, again: bool = True) -> commands.Run:
        for number, text in enumerate(texts):
            (tmp_path / f"test_{number}.py").write_text(text)
        ours = {"PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # fast
        run = commands.Run("a1", {**os.environ, **ours})
        lane = Lane("mine", (str(tmp_path),), "ours", "1 s", workers=1, again=again)
        commands._lane(lane, run)
        commands._again(run)
        return run

    return make


def test_what_passes_alone_is_flaky_and_both_outputs_are_kept(ran, tmp_path: Path, capsys) -> None:
    run = ran(CHANCE, GOOD)
    assert run.failed == []
    [told] = run.flaky
    assert told.startswith("test_0.py::test_chance ")
    assert "the first time it fails" in (tmp_path / "again-0.first.txt").read_text()
    assert "1 passed" in (tmp_path / "again-0.log").read_text()
    assert commands._end(run) == 0
    assert "FLAKY test_0.py::test_chance" in capsys.readouterr().out


def test_what_fails_again_fails_the_run(ran, capsys) -> None:
    run = ran(CHANCE, FAULT)
    assert run.failed == ["test_1.py::test_fault"]
    assert len(run.flaky) == 1
    assert commands._end(run) == 1
    assert "it always fails" in capsys.readouterr().out


def test_more_than_three_flaky_ones_fail_the_run(ran) -> None:
    run = ran(*[CHANCE] * 4)
    assert (run.failed, len(run.flaky)) == ([], 4)
    assert commands._end(run) == 1


def test_a_lane_that_has_no_chance_gets_no_second_run(ran) -> None:
    run = ran(CHANCE, again=False)
    assert (run.failed, run.flaky) == (["test_0.py::test_chance"], [])


def test_a_module_that_cannot_be_collected_fails_the_run(ran) -> None:
    run = ran("import no_such_module\n", GOOD)
    [told] = run.failed
    assert "pytest ended with" in told
