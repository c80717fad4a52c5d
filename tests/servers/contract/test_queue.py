"""Stories of the contract, told of this machine and a queue, and those that only a queue has.

The other stories are nightly.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from contract.places.fixture import place_at
from contract.places.queue import QueuePlace
from contract.stories import (  # noqa: F401
    lost_nothing,
    test_a_version_takes_over_step_by_step,
    test_an_older_version_promoted_later_is_a_rollback,
    test_killed_at_each_turn_of_a_rollout_it_goes_on,
)
from pamqp.commands import Basic
from support.load import BODY
from support.run.wait import wait_for

pytestmark = pytest.mark.timeout(1800)
place = place_at(QueuePlace)
EAGER = {"runtime": "queue", "autoscaling": {"min": 0, "max": 3, "messages": 5}}


def test_a_broker_that_is_away_is_told_and_nothing_is_lost(place):
    place.brought("calm", 1)
    with place.load("calm") as load:
        wait_for(lambda: len(load.answers) > 10, "some answers")
    lost_nothing(load, 1)
    place.broker.send_all("calm.prod", [(BODY, message(f"kept-{n}")) for n in range(50)])
    place.broker.kill()
    seen = place.wait("calm", lambda d: d["state"] == "Degraded")
    assert seen["reason"] == "QueueUnreachable"
    assert place.broker.url() not in json.dumps(seen)
    place.promote("calm", 2, 1)
    place.wait("calm", lambda d: (d["wanted"] or {}).get("version") == "2")
    place.broker.start()
    place.serves("calm", 2)
    found = ids(place, "calm", "kept", 50)
    assert len(found) == len(set(found.values())) == 50


def test_replicas_follow_the_messages(place):
    place.models(
        [
            {
                "name": "eager",
                "kind": "takes-its-time",
                "say": 1,
                "serving": EAGER | {"batching": {"enabled": False}},
            }
        ]
    )
    place.promote("eager", 1)
    place.serves("eager", 1)
    assert len(place.processes("eager")) == 1
    place.broker.send_all("eager.prod", [(BODY, message(f"burst-{n}")) for n in range(60)])
    wait_for(lambda: len(place.processes("eager")) == 3, "three replicas", 60)
    found = ids(place, "eager", "burst", 60)
    assert len(found) == 60
    place.wait("eager", lambda d: d["predictors"][0]["replicas"] == 3)
    answered = place.broker.ctl("list_consumers", "queue_name")
    assert answered.count("eager.prod") == 3


def message(name: str) -> Basic.Properties:
    return Basic.Properties(delivery_mode=2, message_id=name, content_type="application/json")


def ids(place: QueuePlace, name: str, prefix: str, count: int) -> dict[str, Any]:
    """Read results until so many inputs have one; the id of each input's result."""
    found: dict[str, Any] = {}

    def enough() -> bool:
        for one in place.broker.take(f"{name}.prod.results"):
            asked = str(one.headers["x-schnitzel-input-id"])
            if asked.startswith(prefix):
                assert (
                    found.setdefault(asked, one.properties.message_id) == one.properties.message_id
                )
        return len(found) >= count

    wait_for(enough, f"{count} results of {name}", 120)
    return found
