"""An upgrade of the platform moves deployments in batches, and stops at the first that fails."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from deployer.rollout import upgrade
from deployer.rollout.upgrade import UpgradePhase
from deployer.spec.model import ServingSpec
from deployer.state.predictor import Predictor, Role
from deployer.state.record import Candidate, Failure, Pause, Promotion, Record
from deployer.state.registry import VersionId

ORDER = ["staging", "prod"]
WANTED = dict.fromkeys(ORDER, "new")


def record(number: int, environment: str = "prod", server: str = "old") -> Record:
    version = VersionId(f"m{number:03}", 1, 1)
    predictor = Predictor(
        f"p{number}", version, Role.CHAMPION, "d", "s", ServingSpec(), server=server
    )
    return Record(
        f"m{number:03}-{environment}",
        version.model,
        environment,
        promotions=(Promotion(version, "alias champion", 1, 1.0),),
        server=server,
    ).with_champion(predictor)


def arrived(one: Record) -> Record:
    assert one.champion
    return one.with_champion(replace(one.champion, server=one.server))


def drafted(one: Record) -> Callable[[str], str]:
    """The digest of what is promoted, on each server: that of the champion on its own."""
    winner = max(one.promotions, key=lambda mark: mark.sequence).version if one.promotions else None
    champion = one.champion

    def digest(server: str) -> str:
        if winner is None or champion is None:
            return ""
        same = (winner, server) == (champion.version, champion.server)
        return champion.digest if same else f"{winner.number} on {server}"

    return digest


def failed(one: Record) -> Record:
    return replace(one, failures={"d2": Failure("LoadError", "it broke", "", 1.0)})


def promoted(one: Record, number: int = 2) -> Record:
    promotion = Promotion(VersionId(one.model, number, number), "alias champion", number, 2.0)
    return replace(one, promotions=(*one.promotions, promotion))


def step(
    records: list[Record],
    share: float,
    version: str = "new",
    *,
    halted: bool = False,
    invalid: Collection[str] = (),
) -> tuple[list[Record], upgrade.Upgrade]:
    wanted = dict.fromkeys(ORDER, version)
    plan = upgrade.plan(records, wanted, ORDER, share, halted=halted, invalid=invalid)
    return [upgrade.assign(one, drafted(one), version, plan) for one in records], plan


def ids(moves: tuple[upgrade.Move, ...]) -> list[str]:
    return [move.record.id for move in moves]


def servers(records: list[Record]) -> list[str]:
    return [one.server for one in records]


@given(
    staging=st.integers(0, 12), prod=st.integers(1, 40), share=st.floats(0.01, 1), data=st.data()
)
def test_never_more_than_the_share_moves_and_all_arrive(staging, prod, share, data):
    records = [record(n, "staging") for n in range(staging)] + [record(n) for n in range(prod)]
    batches: dict[str, int | None] = {}
    for _ in range(200):
        records, plan = step(records, share)
        moving = [r for r in records if r.champion and r.server != r.champion.server]
        for environment, size in (("staging", staging), ("prod", prod)):
            here = [r for r in moving if r.environment == environment]
            assert len(here) <= max(1, int(share * size))
        if any(r.environment == "prod" for r in moving):
            assert all(r.champion.server == "new" for r in records if r.environment == "staging")
        assert (
            len({move.batch for move in plan.in_phase(UpgradePhase.NOW, UpgradePhase.MOVING)}) <= 1
        )
        for move in plan.moves:
            assert batches.setdefault(move.record.id, move.batch) == move.batch
        if plan.over:
            break
        done = {r.id for r in moving if data.draw(st.booleans())} or {moving[0].id}
        records = [arrived(r) if r.id in done else r for r in records]
    assert {r.champion.server for r in records} == {"new"}
    assert plan.done == len(records)


def test_the_next_batch_begins_only_when_the_one_before_has_arrived():
    records = [record(n) for n in range(5)]
    records, plan = step(records, 0.4)
    assert servers(records) == ["new", "new", "old", "old", "old"]
    assert [move.batch for move in plan.moves] == [1, 1, 2, 2, 3]
    records, _ = step([arrived(records[0]), *records[1:]], 0.4)
    assert servers(records) == ["new", "new", "old", "old", "old"]
    records, _ = step([records[0], arrived(records[1]), *records[2:]], 0.4)
    assert servers(records) == ["new", "new", "new", "new", "old"]


def test_a_batch_that_was_only_half_assigned_is_completed():
    records = [replace(record(0), server="new"), record(1), record(2)]
    records, _ = step(records, 0.7)
    assert servers(records) == ["new", "new", "old"]


def test_one_that_fails_stops_the_rest_until_it_is_mended():
    records = [record(n) for n in range(10)]
    records, _ = step(records, 0.2)
    assert servers(records).count("new") == 2
    records = [failed(records[0]), arrived(records[1]), *records[2:]]
    records, plan = step(records, 0.2)
    assert ids(plan.in_phase(UpgradePhase.FAILED)) == ["m000-prod"]
    assert servers(records).count("new") == 2
    records = [arrived(replace(records[0], failures={})), *records[1:]]
    records, plan = step(records, 0.2)
    assert len(plan.moving) == 2
    assert not plan.in_phase(UpgradePhase.FAILED)


def test_one_that_is_tried_again_still_stops_the_rest():
    records, _ = step([record(n) for n in range(10)], 0.2)
    predictor = replace(records[0].champion, digest="d2", server="new")
    again = replace(failed(records[0]), candidate=Candidate(predictor, 1.0))
    records, plan = step([again, arrived(records[1]), *records[2:]], 0.2)
    assert ids(plan.in_phase(UpgradePhase.FAILED)) == ["m000-prod"]
    assert servers(records).count("new") == 2


def test_a_failure_anywhere_stops_every_environment():
    broken = failed(replace(record(1), server="new"))
    records, _ = step([record(1, "staging"), broken], 1.0)
    assert servers(records) == ["old", "new"]


def test_a_failure_of_what_serves_does_not_stop_it():
    failing = replace(record(0), failures={"d": Failure("OutOfMemory", "", "", 1.0)})
    records, plan = step([failing, record(1)], 0.5)
    assert servers(records) == ["new", "old"]
    assert not step(records, 0.5)[1].in_phase(UpgradePhase.FAILED), plan


def test_a_new_promotion_takes_the_new_version_at_once():
    before = [record(n) for n in range(1, 30)]
    records, plan = step([*before[:-1], promoted(before[-1])], 0.01)
    assert servers(records).count("new") == 2
    assert records[-1].server == "new"
    [move] = plan.in_phase(UpgradePhase.PROMOTED)
    assert move.batch is None


def test_a_new_promotion_that_fails_tells_nothing_of_the_new_version():
    broken = failed(replace(promoted(record(5)), server="new"))
    records, plan = step([record(0), record(1), broken], 0.34)
    assert servers(records) == ["new", "old", "new"]
    assert not plan.in_phase(UpgradePhase.FAILED)


def test_another_spec_takes_the_new_version_at_once():
    waits, plan = record(0), upgrade.Upgrade()
    same, none, other = ({"old": digest, "new": "d9"}.__getitem__ for digest in ("d", "", "d2"))
    assert upgrade.assign(waits, same, "new", plan) == waits
    assert upgrade.assign(waits, none, "new", plan) == waits
    assert upgrade.assign(waits, other, "new", plan).server == "new"


def test_a_halt_lets_what_is_under_way_finish_and_begins_nothing():
    records, _ = step([record(n) for n in range(10)], 0.2)
    records, plan = step(records, 0.2, halted=True)
    assert len(plan.moving) == 2
    assert len(plan.in_phase(UpgradePhase.WAITING)) == 8
    records = [arrived(one) if one.server == "new" else one for one in records]
    records, plan = step(records, 0.2, halted=True)
    assert not plan.moving
    records, plan = step(records, 0.2)
    assert len(plan.moving) == 2


def test_a_halt_before_it_begins_shows_the_whole_plan():
    _, plan = step([record(0, "staging"), *(record(n) for n in range(3))], 0.4, halted=True)
    assert [move.phase for move in plan.moves] == [UpgradePhase.WAITING] * 4
    assert [move.batch for move in plan.moves] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("left", "phase"),
    [
        (replace(record(0), pause=Pause("ada", 1.0, "")), UpgradePhase.PAUSED),
        (
            replace(failed(record(0)), server="new", pause=Pause("ada", 1.0, "")),
            UpgradePhase.PAUSED,
        ),
        (replace(record(0), promotions=()), UpgradePhase.UNPROMOTED),
    ],
)
def test_what_cannot_move_is_left_behind_and_nobody_waits_for_it(left: Record, phase: UpgradePhase):
    records, plan = step([left, record(1)], 0.5)
    assert records == [left, replace(record(1), server="new")]
    assert ids(plan.in_phase(phase)) == [left.id]
    assert step([left, arrived(records[1])], 0.5)[1].over


def test_one_whose_spec_cannot_be_used_holds_no_place_and_takes_its_turn_once_it_is_mended():
    records, plan = step([record(n) for n in range(3)], 0.34)
    assert servers(records) == ["new", "old", "old"]
    broken = {"m000-prod"}
    records, plan = step(records, 0.34, invalid=broken)
    assert ids(plan.in_phase(UpgradePhase.INVALID)) == ["m000-prod"]
    assert [move.batch for move in plan.moves] == [None, 2, 3]
    assert servers(records) == ["old", "new", "old"], (
        "it is not to begin with the others, once it is corrected"
    )
    records, plan = step(records, 0.34)
    assert [move.phase for move in plan.moves] == [
        UpgradePhase.WAITING,
        UpgradePhase.MOVING,
        UpgradePhase.WAITING,
    ]
    records = [records[0], *map(arrived, records[1:])]
    for _ in range(2):
        records, plan = step([records[0], *map(arrived, records[1:])], 0.34, invalid=broken)
    assert plan.over
    assert servers(step(records, 0.34)[0]) == ["new"] * 3


@pytest.mark.parametrize("left", [promoted(record(0)), failed(replace(record(0), server="new"))])
def test_what_is_promoted_and_cannot_be_used_says_nothing_of_the_new_version(left: Record):
    records, plan = step([left, record(1)], 0.5, invalid={left.id})
    assert ids(plan.in_phase(UpgradePhase.INVALID)) == [left.id]
    assert records[1].server == "new"


def test_where_no_version_is_wanted_nothing_moves():
    assert upgrade.plan([record(1)], {"prod": ""}, ORDER, 1.0).over


def test_nothing_begins_where_records_cannot_be_seen_or_after_it():
    records = [record(0)]
    plan = upgrade.plan(records, WANTED, ORDER, 1.0, unseen={"staging"})
    assert not plan.moving
    assert upgrade.plan(records, WANTED, ORDER, 1.0).moving == {"m000-prod"}


def test_going_back_is_an_upgrade_to_the_older_version():
    records, _ = step([record(n) for n in range(4)], 0.5)
    records = [arrived(records[0]), failed(records[1]), *records[2:]]
    records, plan = step(records, 0.5, "old")
    assert ids(plan.in_phase(UpgradePhase.NOW)) == ["m000-prod"]
    assert servers(records) == ["old"] * 4
    assert plan.done == 3


def test_a_third_version_begins_anew_wherever_the_second_got_to():
    records, _ = step([record(n) for n in range(4)], 0.5)
    records = [failed(records[0]), arrived(records[1]), *records[2:]]
    records, plan = step(records, 0.5, "newest")
    assert servers(records) == ["newest", "newest", "old", "old"]
    assert len(plan.in_phase(UpgradePhase.NOW)) == 2


def test_one_that_was_to_move_to_a_version_that_nobody_wants_any_more_stays():
    waits = replace(record(3), server="new")
    records, _ = step([*(record(n) for n in range(3)), waits], 0.25, "newest")
    assert servers(records) == ["newest", "old", "old", "old"]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ([], ["dev", "staging", "live"]),
        (["staging"], ["staging", "dev", "live"]),
        (["live", "dev"], ["live", "dev", "staging"]),
        (["gone", "dev"], ["dev", "staging", "live"]),
    ],
)
def test_production_is_last_where_nobody_says_otherwise(named: list[str], expected: list[str]):
    assert upgrade.order({"dev": False, "live": True, "staging": False}, named) == expected
