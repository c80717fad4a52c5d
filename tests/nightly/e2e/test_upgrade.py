"""An upgrade of the platform on a cluster with traffic on: halted, back, and failing.

What it decides: tests/unit/deployer/rollout/test_upgrade.py; batches: test_upgrade_in_batches.py.
"""

from __future__ import annotations

import pytest
from support.platform.upgraded import upgraded_platform, upgraded_traffic  # noqa: F401
from support.run.wait import wait_for

pytestmark = pytest.mark.timeout(900)

NOWHERE = "sha256:" + "0" * 64


def test_a_halt_is_kept_over_a_restart_and_going_back_is_the_same(platform, traffic):
    platform.settle()
    before = platform.servers()
    platform.upgrade("--halt")
    platform.start(platform.previous.server)
    platform.looks()
    told = platform.upgrade("--plan")
    assert (told["state"], told["batches"]) == ("Halted", 3)
    assert platform.states(told) == dict.fromkeys(platform.served, "waiting")
    assert platform.servers() == before

    platform.upgrade("--resume")
    wait_for(
        lambda: platform.states(platform.api("upgrade")).get(("a", "prod")) == "moving",
        "the first in prod to move",
        120,
    )
    told = platform.upgrade("--halt", "--wait")
    halted = platform.servers()
    assert halted["a", "dev"] == halted["a", "prod"] == platform.previous.server
    assert halted["c", "prod"] == platform.present
    assert set(platform.states(told).values()) == {"waiting"}
    platform.looks()
    assert platform.servers() == halted

    assert platform.upgrade("--resume", "--wait")["state"] == "Done"
    assert set(platform.servers().values()) == {platform.previous.server}
    assert all(load.answers for load in traffic)


def test_a_server_that_cannot_start_stops_at_the_first_and_all_keep_serving(platform, traffic):
    platform.settle()
    before = platform.servers()
    [good] = set(before.values())
    platform.start(f"{good.partition('@')[0]}@{NOWHERE}")
    told = wait_for(
        lambda: (found := platform.api("upgrade"))["state"] == "Failed" and found,
        "the first to fail",
        120,
    )
    rest = dict.fromkeys([each for each in platform.served if each[1] == "prod"], "waiting")
    assert platform.states(told) == {("a", "dev"): "failed", **rest}
    shown = platform.cli("platform", "upgrade", "--plan")
    [first, *_] = told["deployments"]
    assert NOWHERE in first["why"]
    assert f"{first['model']}@{first['environment']}: {first['why']}" in shown
    assert "--retry" in shown.splitlines()[-1]
    platform.cli("platform", "upgrade", "--wait", code=1)
    platform.looks()
    assert platform.servers() == before

    served = platform.seen("a", "dev")["predictors"]
    platform.start(good)  # which ends the upgrade's failure, and there is nothing to go back from
    assert platform.upgrade("--wait")["done"] == len(platform.served)
    platform.serving("a", 1, "dev")
    kept = [each["name"] for each in served if each["weight"]]
    assert [each["name"] for each in platform.seen("a", "dev")["predictors"]] == kept
    assert all(load.answers for load in traffic)
