"""An upgrade of the platform on a cluster with traffic on, in batches.

It begins from the commit before this one, its Deployer and its model server, and ends with these.

Nightly, since it builds the images of two commits, and was not seen to pass since they differ.
"""

from __future__ import annotations

import time

import pytest
from support.platform.upgraded import TOGETHER, upgraded_platform, upgraded_traffic  # noqa: F401
from support.run.wait import wait_for

pytestmark = pytest.mark.timeout(1800)


def test_an_upgrade_goes_in_batches_each_asked_its_example_and_loses_no_request(platform, traffic):
    before, began = platform.predictors(), time.time()
    assert set(platform.servers().values()) == {platform.previous.server}
    platform.start(platform.present)

    def over() -> bool:
        for each in platform.api("deployments")["deployments"]:
            for predictor in each["predictors"]:
                if predictor["weight"] and predictor["name"] not in before:
                    assert predictor["example"] == "passed", each
        return bool(platform.api("upgrade")["state"] == "Done")

    wait_for(over, "the end of the upgrade", 600, every=0.2)
    assert set(platform.servers().values()) == {platform.present}
    spans = {each: platform.lately(*each, began) for each in platform.served}
    for (_, environment), its in spans.items():
        at = its["rollout"]
        beside = [e for (_, e), o in spans.items() if o["rollout"] <= at < o["shift"]]
        assert set(beside) == {environment}, spans
        assert len(beside) <= TOGETHER[environment], spans
        if environment == "prod":
            assert spans["a", "dev"]["shift"] <= at, spans
    assert len(traffic) == len(platform.served)
    wait_for(lambda: not before & platform.predictors(), "the old predictors to be gone", 60)
