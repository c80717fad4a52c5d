"""The command: lanes run side by side, failures once more, and the table."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from support import ROOT

from lanes import nightly, preparing, results, running, sweeping
from lanes.lane import KILLS, LANES, LAPTOP, NIGHTLY, SAMPLE, SETS, Lane, chosen
from lanes.results import Row, minutes
from stack.supervision.processes import end_all

FOLDER = ROOT / ".tests"
"""Where logs and records of the last run are."""
MOST_FLAKY = 3
MOST_AGAIN = 8
TOLD_SECONDS = 30.0


@dataclass
class Run:
    """One call of the command.

    Attributes:
        seed: what nightly's sample and Hypothesis draw from.
        rows: the table's, so far.
        failed: what failed for good.
        flaky: what failed and passed when it was run again.
    """

    seed: str
    env: dict[str, str]
    begun: float = field(default_factory=time.monotonic)
    rows: list[Row] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    flaky: list[str] = field(default_factory=list)
    doubtful: list[results.Test] = field(default_factory=list)
    now: dict[str, Path] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    def say(self, line: str) -> None:
        """Print a line with the time since the beginning."""
        with self.lock:
            sys.stdout.write(f"{minutes(time.monotonic() - self.begun):>6}  {line}\n")
            sys.stdout.flush()


def main(words: Sequence[str] | None = None) -> int:
    """Run the lanes that are named; 0 if all passed, flaky ones included."""
    parser = argparse.ArgumentParser(prog="lanes", description=__doc__)
    parser.add_argument("lanes", nargs="+", choices=sorted({*SETS, *LANES, SAMPLE}))
    parser.add_argument("--seed", default=os.environ.get("SCHNITZEL_TEST_SEED"))
    given = parser.parse_args(words)
    seed = given.seed or nightly.commit()[:12]
    run = Run(seed, {**os.environ, "SCHNITZEL_TEST_SEED": seed})
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    signal.signal(signal.SIGTERM, _interrupted)
    sampled = SAMPLE in given.lanes or "guard" in given.lanes
    lanes = chosen([word for word in given.lanes if word != SAMPLE])
    lanes, reason = _possible(lanes, run)
    if sampled and not reason:
        lanes += _sample(run)
    ground = preparing.Ground(
        FOLDER, run.say, frozenset(lane.needs for lane in lanes if lane.needs), run.env
    )
    end_all(sweeping.left_behind, sweeping.GRACE)
    try:
        ground.begin()
        _run(lanes, ground, run)
        _again(run)
    finally:
        running.end_all()
        ground.end()
        end_all(sweeping.of_this_run, sweeping.GRACE)
    return _end(run)


def _possible(lanes: list[Lane], run: Run) -> tuple[list[Lane], str]:
    """Leave out the lanes that this machine cannot have, with a line for each."""
    reason = preparing.impossible()
    for lane in lanes:
        if lane.needs and reason:
            run.say(f"{lane.name} does not run: {reason}")
            if os.environ.get("CI") == "true":
                run.failed.append(f"{lane.name}: {reason}")
    return [lane for lane in lanes if not (lane.needs and reason)], reason


def _sample(run: Run) -> list[Lane]:
    """Some tests of nightly, as a lane."""
    tests = nightly.sample(run.seed, nightly.every())
    run.say(f"of nightly, {len(tests)} tests run, drawn with seed {run.seed}")
    for test in tests:
        run.say(f"  {test}")
    lane = replace(NIGHTLY, name=SAMPLE, paths=tuple(tests), options=(), usually="3 min")
    return [lane] if tests else []


def _run(lanes: list[Lane], ground: preparing.Ground, run: Run) -> None:
    """Run the light lanes side by side, then each of the others alone, or beside a patient one.

    Those keep two cores busy alone: beside one another they took as long, and waited in vain. So
    they do beside Kubernetes' build, which the light lanes wait for: whole platforms look around
    all the time, so that what takes twice as long costs more.
    """
    threading.Thread(target=_tell, args=(ground, run), daemon=True).start()
    with ThreadPoolExecutor() as pool:
        light = [pool.submit(_stand, lane, ground, run) for lane in lanes if lane.light]
        try:
            for stood in light:
                stood.result()
            beside = []
            for lane in lanes:
                if lane.beside:
                    beside.append(pool.submit(_stand, lane, ground, run))
                elif not lane.light:
                    _stand(lane, ground, run)
            for stood in beside:
                stood.result()
        finally:
            run.over.set()
            running.end_all()


def _stand(lane: Lane, ground: preparing.Ground, run: Run) -> None:
    """Run a lane once what it needs is ready."""
    unready = (lane.name != "unit" and ground.wait("packages")) or ground.wait(lane.needs)
    if unready:
        run.say(f"{lane.name} cannot run: {unready}")
        run.failed.append(f"{lane.name}: {unready}")
    elif not run.over.is_set():
        _lane(lane, run)
    if lane.needs == "control plane":
        ground.release(lane.needs)


def _lane(lane: Lane, run: Run) -> None:
    run.say(f"==> {lane.name}: {lane.says} (usually {lane.usually})")
    run.now[lane.name] = FOLDER / f"{lane.name}.jsonl"
    ended = running.run(lane.name, running.words_of(lane, run.seed), FOLDER, run.env)
    found = results.read(ended.record)
    del run.now[lane.name]
    run.rows.append(Row(lane.name, found, ended.wall, ended.cpu))
    failed = found.of("failed")
    last = ended.log.read_text(errors="replace").rstrip().rpartition("\n")[2]
    run.say(f"{lane.name}: {last}")
    for test in failed:
        with run.lock:
            sys.stdout.write(f"\n----- FAILED {test.name} ({test.when})\n{test.said[-12_000:]}\n")
    if lane.again:
        run.doubtful += failed
    else:
        run.failed += [test.name for test in failed]
    if ended.status != 0 and not failed:
        run.failed.append(f"{lane.name}: pytest ended with {ended.status}; {ended.log}")
        sys.stdout.write(ended.log.read_text(errors="replace")[-8_000:])
    if lane in (KILLS, LAPTOP, NIGHTLY):
        with run.lock:
            nightly.keep(found)


def _tell(ground: preparing.Ground, run: Run) -> None:
    """Say now and then how far it has come."""
    while not run.over.wait(TOLD_SECONDS):
        parts = [f"preparing {one}" for one in ground.doing()]
        for lane, record in list(run.now.items()):
            if record.exists():
                found = results.read(record)
                failed = len(found.of("failed"))
                parts.append(f"{lane} {len(found.tests)} of {found.total}, {failed} failed")
        run.say("; ".join(parts) or "waiting")


def _again(run: Run) -> None:
    """Run each failure once more, alone: what passes then is flaky."""
    causes = results.causes(run.doubtful)
    if len(causes) > MOST_AGAIN:
        run.say(f"{len(causes)} failures are too many to be chance: none is run again")
        run.failed += causes
        return
    for number, (cause, tests) in enumerate(causes.items()):
        run.say(f"once more: {cause}")
        name = f"again-{number}"
        (FOLDER / f"{name}.first.txt").write_text("\n\n".join(test.said for test in tests))
        ended = running.run(name, [test.name for test in tests], FOLDER, run.env)
        if ended.status == 0:
            run.flaky.append(f"{cause} ({FOLDER.name}/{name}.first.txt, {name}.log)")
        elif cause.startswith("tests/nightly") and nightly.failed_before(tests[0].name, run.env):
            run.say(f"{cause} fails with the commit before, too: reported, and no obstacle")
        else:
            run.failed.append(cause)


def _end(run: Run) -> int:
    total = time.monotonic() - run.begun
    sys.stdout.write(f"\n{results.table(run.rows, run.flaky)}\n\n")
    if len(run.flaky) > MOST_FLAKY:
        run.failed.append(f"{len(run.flaky)} flaky tests; at most {MOST_FLAKY} may be")
    for what in run.failed:
        sys.stdout.write(f"FAILED {what}\n")
    passed = sum(len(row.results.of("passed")) for row in run.rows)
    sys.stdout.write(f"{passed} passed, {len(run.failed)} failed in {minutes(total)}\n")
    return 1 if run.failed else 0


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt
