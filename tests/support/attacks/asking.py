"""Asks a server what is fuzzed, and looks at each answer; the lanes differ in how many."""

from __future__ import annotations

import sys
from itertools import islice

from support.attacks.fuzzed import fuzzed
from support.attacks.wire import Good, Wire, lives_of
from support.systems.model_server import Server

STATUSES = frozenset({200, 400, 413, 415})
AHEAD = 20
"""Requests that are sent before their answers are read."""


def ask_fuzzed(server: Server, seed: str, number: int) -> None:
    """Ask `number` fuzzed requests, pipelined; each answer is one that errors.md knows.

    A 500 is the model's own: it raised, and says under which id that is in the log. Among them are
    good requests, whose answers must be their own, and the processes stay those that they were.
    """
    sys.stdout.write(f"SCHNITZEL_TEST_SEED={seed}\n")
    good, before = Good(server), lives_of(server)
    requests = fuzzed(seed)
    found: dict[int, int] = {}
    while sum(found.values()) < number:
        some = list(islice(requests, AHEAD))
        sent, mine = good.ask()
        with Wire(server) as wire:
            wire.say(b"".join(each.sends for each in some) + sent)
            for each in some:
                said = wire.answer()
                assert said is not None, each
                assert said.status in STATUSES or is_the_models_own(said.content), (each, said)
                found[said.status] = found.get(said.status, 0) + 1
            assert good.is_of(wire.answer(), mine), some
    sys.stdout.write(f"answered: {found}\n")
    assert lives_of(server) == before
    assert found[200] > number / 20, "nearly all are refused: they are not nearly valid"


def is_the_models_own(content: object) -> bool:
    """Whether an answer says that the model raised, and where to read how."""
    if not isinstance(content, dict) or not content.get("error_id"):
        return False
    return "the model raised" in str(content.get("message") or content.get("error"))
