"""Stories of the contract that only a place with queues has."""

from __future__ import annotations

import json
import re
from typing import Any

from support.run.wait import wait_for

from contract.stories import lost_nothing

EAGER: dict[str, Any] = {
    "runtime": "queue",
    "autoscaling": {"min": 0, "max": 3, "messages": 5},
    "batching": {"enabled": False},
}


def test_a_broker_that_is_away_is_told_and_nothing_is_lost(place):
    place.brought("calm", 1)
    with place.load("calm") as load:
        wait_for(lambda: len(load.answers) > 10, "some answers")
    lost_nothing(load, 1)
    place.send("calm", "kept", 50)
    place.broker.kill()
    seen = place.wait("calm", lambda d: d["state"] == "Degraded")
    assert seen["reason"] == "QueueUnreachable"
    assert place.broker.url() not in json.dumps(seen)
    place.promote("calm", 2, 1)
    place.wait("calm", lambda d: (d["wanted"] or {}).get("version") == "2")
    place.broker.start()
    place.serves("calm", 2)
    found = place.results("calm", "kept", 50)
    assert len(found) == len(set(found.values())) == 50


def test_replicas_follow_the_messages(place):
    place.models([{"name": "eager", "kind": "takes-its-time", "say": 1, "serving": EAGER}])
    place.promote("eager", 1)
    place.serves("eager", 1)
    assert place.consumers("eager") == 1
    place.send("eager", "burst", 60)
    place.wait("eager", lambda d: d["predictors"][0]["replicas"] == 3, 60)
    assert len(place.results("eager", "burst", 60)) == 60
    wait_for(lambda: place.consumers("eager") == 3, "three replicas to consume")
    show = ("queue", "show", place.model("eager"), "-e", place.environment)
    wait_for(lambda: re.search(r"consumers\s+3\b", place.platform.cli(*show)), "it to be shown")
