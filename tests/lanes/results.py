"""What the tests' record says: which failed, and the table at the end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Test:
    """One test: how it ended, what each phase took, what it said if it did not pass."""

    __test__ = False

    name: str
    outcome: str = "passed"
    when: str = ""
    walls: dict[str, float] = field(default_factory=dict)
    cpu: float = 0.0
    said: str = ""

    @property
    def wall(self) -> float:
        """What it took with all its phases."""
        return sum(self.walls.values())

    @property
    def module(self) -> str:
        """The file it is in."""
        return module_of(self.name)

    @property
    def around(self) -> float:
        """What was set up before it and taken down after it."""
        return self.wall - self.walls.get("call", 0.0)

    def add(self, line: dict[str, object]) -> None:
        """Take a phase in: the first that is not passed counts."""
        self.walls[str(line["when"])] = float(str(line["wall"]))
        self.cpu += float(str(line["cpu"]))
        if line["outcome"] != "passed" and self.outcome != "failed":
            self.outcome, self.when = str(line["outcome"]), str(line["when"])
            self.said = str(line["said"])


@dataclass
class Results:
    """The tests of one run of pytest, as far as they have ended."""

    total: int = 0
    tests: dict[str, Test] = field(default_factory=dict)

    def of(self, outcome: str) -> list[Test]:
        """Those that ended so."""
        return [test for test in self.tests.values() if test.outcome == outcome]

    def slowest(self, number: int = 5) -> list[Test]:
        """Those that took longest, with what was set up for them."""
        return sorted(self.tests.values(), key=lambda test: -test.wall)[:number]


def read(record: Path) -> Results:
    """Read a record, also one that is still written."""
    found = Results()
    for line in _lines(record):
        if "total" in line:
            found.total = int(line["total"])
        else:
            name = str(line["test"])
            found.tests.setdefault(name, Test(name)).add(line)
    return found


def module_of(name: str) -> str:
    """The file of a test."""
    return name.partition("::")[0]


def causes(failed: Iterable[Test]) -> dict[str, list[Test]]:
    """Failures by what failed: a test, or what a module set up for several."""
    found: dict[str, list[Test]] = {}
    for test in failed:
        cause = f"{test.module} ({test.when})" if test.when == "setup" else test.name
        found.setdefault(cause, []).append(test)
    return found


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    lane: str
    results: Results
    wall: float
    cpu: float


def table(rows: Sequence[Row], flaky: Sequence[str]) -> str:
    """Lay out what ran: lanes, then the slowest of each, then what was flaky."""
    lines = [f"{'lane':12}{'tests':>7}{'failed':>8}{'skipped':>9}{'wall':>9}{'CPU':>9}"]
    for row in rows:
        counts = [len(row.results.of(outcome)) for outcome in ("failed", "skipped")]
        lines.append(
            f"{row.lane:12}{len(row.results.tests):7}{counts[0]:8}{counts[1]:9}"
            f"{minutes(row.wall):>9}{minutes(row.cpu):>9}"
        )
    for row in rows:
        if slowest := row.results.slowest():
            lines += ["", f"slowest of {row.lane}"]
            lines += [f"  {test.wall:6.1f} s  {test.name}" for test in slowest]
    reasons = sorted(
        {(row.lane, reason(test)) for row in rows for test in row.results.of("skipped")}
    )
    if reasons:
        lines += ["", "skipped"]
        lines += [f"  {lane}: {why}" for lane, why in reasons]
    lines += ["", *(f"FLAKY {name}" for name in flaky)] if flaky else []
    return "\n".join(lines)


def reason(test: Test) -> str:
    """Why a test was skipped, in a line."""
    return test.said.rpartition("Skipped: ")[2].strip().rstrip("')\"").splitlines()[0][:160]


def minutes(seconds: float) -> str:
    """A time as people read it: "12:05"."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def _lines(record: Path) -> Iterator[dict[str, object]]:
    for line in record.read_text().split("\n")[:-1]:
        yield json.loads(line)
