"""Killed before and after each write of a rollout, wherever models are served, it goes on.

Long stories, like those of stories.py, but for that of a few writes, which are drawn. The lanes
draw with the commit's hash; a failure names the seed and the writes, and the seed draws them again:

    SCHNITZEL_TEST_SEED=0123456789ab .venv/bin/pytest tests/nightly/contract -k a_few_writes
"""

from __future__ import annotations

import os
import random
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from contract.stories import killed_at_each_turn, lost_nothing

SIDES = ("before", "after")
FEW = 2
WRITES = 16
"""A rollout has more, wherever it is."""


def test_killed_at_each_turn_the_other_way_round_it_goes_on(place):
    killed_at_each_turn(place, "after", "before", "before", "after")


def test_killed_before_every_write_of_a_rollout_it_goes_on(place, tmp_path):
    at_every_write(place, tmp_path, "before")


def test_killed_after_every_write_of_a_rollout_it_goes_on(place, tmp_path):
    at_every_write(place, tmp_path, "after")


def at_every_write(place, folder: Path, side: str) -> None:
    writes = writes_of_a_rollout(place, folder / "writes")
    missed = goes_on_killed_at(place, [(write, side) for write in writes])
    assert all("#" in write for write in missed), f"met not even once: {missed}"


def test_killed_at_a_few_writes_of_a_rollout_it_goes_on(place):
    seed = os.environ.get("SCHNITZEL_TEST_SEED", "0")
    sys.stdout.write(f"SCHNITZEL_TEST_SEED={seed}\n")
    chance = random.Random(seed)  # noqa: S311 - no secret
    place.brought("phoenix", 2)
    numbers = chance.sample(range(1, WRITES + 1), FEW)
    missed = goes_on_killed_at(place, [(f"any#{n}", chance.choice(SIDES)) for n in numbers])
    assert not missed


def writes_of_a_rollout(place, file: Path) -> list[str]:
    """Each write that takes version 2 to serve in the place of 1: "EDGE", then "EDGE#2"."""
    place.brought("phoenix", 2)  # what a first rollout only does is not met again
    place.brought("phoenix", 1)
    place.start(listing=(file, "phoenix"))
    place.brought("phoenix", 2)
    place.looked_at("phoenix")
    place.stop()
    times: Counter[str] = Counter()
    found = []
    for edge in file.read_text().splitlines():
        times[edge] += 1
        found.append(f"{edge}#{times[edge]}" if times[edge] > 1 else edge)
    assert set(place.turns.values()) <= set(found)
    return found


def goes_on_killed_at(place, edges: Iterable[tuple[str, str]]) -> list[str]:
    """Roll out under load, and kill the Deployer at a write, on one side of it; so for each.

    Returns the writes that a rollout did not come to.
    """
    version, missed = 2, []
    place.start()
    with place.load("phoenix") as load:
        for write, side in edges:
            sys.stdout.write(f"killed {side} {write}\n")
            version = 3 - version
            place.stop()
            place.promote("phoenix", version, 3 - version)
            if not place.killed("phoenix", write, side, done(place, version)):
                missed.append(write)
            place.start()
            place.serves("phoenix", version)
            assert not load.failed, f"lost {side} {write}: {load.failed[:3]}"
    lost_nothing(load, 1, 2)
    return missed


def done(place, version: int):
    """Whether a rollout is over, and was looked at for a while after that."""
    looks = set()

    def look() -> bool:
        seen = place.seen("phoenix")
        if (
            seen.get("state") == "Serving"
            and seen["serving"] == {"version": str(version)}
            and len(seen["predictors"]) == 1
        ):
            looks.add(seen["observed_at"])
            place.platform.reconcile()
        return len(looks) > 3

    return look
