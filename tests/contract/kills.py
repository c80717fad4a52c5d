"""Killed before and after each write of a rollout, wherever models are served, it goes on.

Long stories, like those of stories.py.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from contract.stories import killed_at_each_turn

MODELS = [{"name": "phoenix", "kind": "constant", "say": say} for say in (1, 2)]


def test_killed_at_each_turn_the_other_way_round_it_goes_on(place):
    killed_at_each_turn(place, "after", "before", "before", "after")


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
    return found


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
        return len(looks) > 3

    return look


def test_killed_at_every_write_of_a_rollout_it_goes_on(place, tmp_path):
    writes = writes_of_a_rollout(place, tmp_path / "writes")
    assert set(place.turns.values()) <= set(writes)
    version, missed = 2, []
    place.start()
    with place.load("phoenix") as load:
        for write in writes:
            for side in ("before", "after"):
                version = 3 - version
                place.stop()
                place.promote("phoenix", version, 3 - version)
                if not place.killed("phoenix", write, side, done(place, version)):
                    missed.append(write)
                place.start()
                place.serves("phoenix", version)
                assert not load.failed, f"lost {side} {write}: {load.failed[:3]}"
    assert load.versions() == {"1", "2"}
    assert all("#" in write for write in missed), "each write is met once at least"
