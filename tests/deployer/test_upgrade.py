"""An upgrade of the platform moves deployments in batches, and stops at the first that fails."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from deployer import upgrade
from deployer.state import Failure, Predictor, Record, Role
from deployer.versions import VersionId

ORDER = ["staging", "prod"]
WANTED = dict.fromkeys(ORDER, "new")


def record(number: int, environment: str = "prod", server: str = "old") -> Record:
    version = VersionId(f"m{number:03}", 1, 1)
    predictor = Predictor(f"p{number}", version, Role.CHAMPION, "d", "s", {}, server=server)
    return Record(
        f"m{number:03}-{environment}", version.model, environment, serving=predictor, server=server
    )


def arrived(one: Record) -> Record:
    assert one.serving
    return replace(one, serving=replace(one.serving, server=one.server))


def failed(one: Record) -> Record:
    return replace(one, failures={"d2": Failure("LoadError", "it broke", "", 1.0)})


def step(records: list[Record], share: float) -> tuple[list[Record], upgrade.Upgrade]:
    plan = upgrade.plan(records, WANTED, ORDER, share)
    moved = [
        upgrade.assign(r, r.serving.version if r.serving else None, "new", plan) for r in records
    ]
    return moved, plan


@given(
    staging=st.integers(0, 12), prod=st.integers(1, 40), share=st.floats(0.01, 1), data=st.data()
)
def test_never_more_than_the_share_moves_and_all_arrive(staging, prod, share, data):
    records = [record(n, "staging") for n in range(staging)] + [record(n) for n in range(prod)]
    for _ in range(200):
        records, plan = step(records, share)
        moving = [r for r in records if r.serving and r.server != r.serving.server]
        for environment, size in (("staging", staging), ("prod", prod)):
            here = [r for r in moving if r.environment == environment]
            assert len(here) <= max(1, int(share * size))
        if any(r.environment == "prod" for r in moving):
            assert all(r.serving.server == "new" for r in records if r.environment == "staging")
        if plan.over:
            break
        done = {r.id for r in moving if data.draw(st.booleans())} or {moving[0].id}
        records = [arrived(r) if r.id in done else r for r in records]
    assert {r.serving.server for r in records} == {"new"}


def test_one_that_fails_stops_the_rest_until_it_is_mended():
    records = [record(n) for n in range(10)]
    records, _ = step(records, 0.2)
    assert [r.server for r in records].count("new") == 2
    records = [failed(records[0]), arrived(records[1]), *records[2:]]
    records, plan = step(records, 0.2)
    assert plan.failed == ("m000-prod",)
    assert [r.server for r in records].count("new") == 2
    records = [arrived(replace(records[0], failures={})), *records[1:]]
    records, plan = step(records, 0.2)
    assert len(plan.moving) == 2
    assert not plan.failed


def test_a_new_promotion_takes_the_new_version_at_once():
    before = record(1)
    plan = upgrade.plan([before, *(record(n) for n in range(2, 30))], WANTED, ORDER, 0.01)
    waiting = record(29)
    assert waiting.id in plan.waiting
    same = upgrade.assign(waiting, waiting.serving.version, "new", plan)
    assert same.server == "old"
    promoted = upgrade.assign(waiting, VersionId("m029", 2, 2), "new", plan)
    assert promoted.server == "new"


def test_a_halt_lets_what_is_under_way_finish_and_begins_nothing():
    records = [record(n) for n in range(10)]
    records, _ = step(records, 0.2)
    plan = upgrade.plan(records, WANTED, ORDER, 0.2, halted=True)
    assert len(plan.moving) == 2
    assert len(plan.waiting) == 8


def test_where_no_version_is_wanted_nothing_moves():
    assert upgrade.plan([record(1)], {"prod": ""}, ORDER, 1.0).over
