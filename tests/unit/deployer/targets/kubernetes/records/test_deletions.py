"""Who serves in a cluster is remembered over a restart, and written on change alone."""

from __future__ import annotations

from dataclasses import replace

from support.world import World, served

from deployer.targets.kubernetes.records.deletions import DeletionLedger

SERVED = served()
RETIRED = SERVED.with_champion(None)


def test_who_serves_is_known_after_a_restart_and_who_was_retired_is_not(kept):
    first = DeletionLedger("tests", kept)
    first.update([(SERVED, "prod"), (replace(SERVED, id="other-prod"), "prod")])
    first.update([(replace(RETIRED, id="other-prod"), "prod")])
    again = DeletionLedger("tests", kept)
    assert again.namespace("angler-prod") == "prod"
    assert again.namespace("other-prod") is None
    assert again.count("prod") == 1
    assert DeletionLedger("tests-2", kept).namespace("angler-prod") is None


def test_only_a_change_is_written(kept):
    ledger = DeletionLedger("tests", kept)
    everybody = [(replace(SERVED, id=f"m{n}-prod"), "prod") for n in range(50)]
    ledger.update(everybody)
    ledger.update(everybody)
    ledger.update([(RETIRED, "prod")])
    ledger.remove("nobody-prod")
    assert kept.writes == 1
    ledger.remove("m7-prod")
    assert kept.writes == 2
    assert DeletionLedger("tests", kept).count("prod") == 49


def test_one_that_stood_by_finds_what_the_other_wrote(kept):
    waiting = DeletionLedger("tests", kept)
    DeletionLedger("tests", kept).update([(SERVED, "prod")])
    assert waiting.namespace("angler-prod") == "prod"


def test_a_record_that_begins_to_serve_is_missed_and_one_without_anything_is_not(kept):
    ledger = DeletionLedger("tests", kept)
    world = World()
    ledger.update([(world.record, "prod")])
    assert ledger.count("prod") == 0
    world.registry.stage(world.registry.add(), "Production")
    world.list_registry()
    world.pass_once()
    assert world.record.champion is None
    ledger.update([(world.record, "prod")])
    assert ledger.count("prod") == 1
