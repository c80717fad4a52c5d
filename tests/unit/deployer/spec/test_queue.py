"""The section `queue` of serving.yaml, and the queues that a project may use."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from deployer.errors import SpecInvalid
from deployer.spec.limits import OPERATORS, LocalLimits
from deployer.spec.model import ServingSpec
from deployer.spec.queue import Access, Asker, QueueAccess, QueueRules, hold_queues
from deployer.spec.resolve import resolve
from deployer.spec.stored import _whole

ANYTHING: Access = {"default": [QueueAccess()]}
TEAM = Asker("angler-prod", "angler", "prod", "fish")
FILE = "serving.yaml"


def held(
    queue: dict[str, Any],
    access: Access = ANYTHING,
    asker: Asker = TEAM,
    *,
    origin: str = FILE,
    users: dict[tuple[str, str], set[str]] | None = None,
    reached: set[str] | None = None,
) -> None:
    resolved = resolve([(origin, {"runtime": "queue", "queue": queue})], LocalLimits())
    hold_queues(resolved, QueueRules(access, users or {}, reached), asker, OPERATORS)


def test_a_deployment_has_queues_that_are_named_after_it():
    named = ServingSpec(runtime="queue").queue.named("angler", "prod")
    assert (named.source, named.dead_letter) == ("angler.prod", "angler.prod.dead")
    assert [one.routing_key for one in named.results] == ["angler.prod.results"]


def test_only_the_deployments_placeholders_are_filled():
    spec = ServingSpec.model_validate(
        {"queue": {"results": [{"routing_key": "{environment}.{prediction.label}", "other": "o"}]}}
    )
    [one] = spec.queue.named("angler", "prod").results
    assert (one.routing_key, one.other) == ("prod.{prediction.label}", "o")


@pytest.mark.parametrize(
    "queue",
    [
        {"source": ""},
        {"source": "amq.gen-x"},
        {"source": "x" * 256},
        {"dead_letter": "\N{SNOWMAN}" * 86},
        {"results": []},
        {"results": [{"exchange": "x"}]},
        {"results": [{"routing_key": "x", "key": "y"}]},
        {"prefetch": 65_536},
        {"attempts": 0},
        {"broker": ""},
    ],
)
def test_what_no_broker_takes_is_refused(queue):
    with pytest.raises(ValidationError, match="queue"):
        ServingSpec.model_validate({"queue": queue})


def test_the_defaults_suffice():
    held({})


@pytest.mark.parametrize(
    ("queue", "access", "says"),
    [
        ({"broker": "other"}, ANYTHING, "queue.broker is 'other', and platform.yaml has 'default'"),
        ({}, {}, "platform.yaml has no brokers"),
        ({"source": "trout.prod"}, ANYTHING, "'fish' may consume angler.*"),
        ({"source": "trout.prod"}, {"default": []}, "may consume nothing"),
        ({}, {"default": [QueueAccess(project="fowl")]}, "may consume nothing"),
        ({}, {"default": [QueueAccess(publish=["a.*"])]}, "may publish a.*"),
        (
            {"results": [{"exchange": "x", "routing_key": "angler.y"}]},
            {"default": [QueueAccess(publish=["angler.*"])]},
            "queue.results is 'x/angler.y'",
        ),
        ({"results": ["angler.prod"]}, ANYTHING, "would answer itself without end"),
        ({"dead_letter": "angler.prod"}, ANYTHING, "would answer itself without end"),
        ({"source": "{model}" * 36}, ANYTHING, "longer than 255 bytes"),
    ],
)
def test_a_queue_that_is_not_allowed_is_refused_with_its_field(queue, access, says):
    with pytest.raises(SpecInvalid) as caught:
        held(
            queue,
            access,
            Asker(
                "angler-prod",
                "angler" if "{model}" not in str(queue) else "angler" * 9,
                "prod",
                "fish",
            ),
        )
    assert says in caught.value.message
    assert caught.value.hint


def test_one_entry_that_allows_it_is_enough():
    access = {"default": [QueueAccess(), QueueAccess(project="fi*", consume=["trout.*"])]}
    held({"source": "trout.prod"}, access)
    with pytest.raises(SpecInvalid, match="may consume"):
        held({"source": "trout.prod"}, access, Asker("angler-prod", "angler", "prod", "other"))


def test_the_patterns_do_not_bind_an_operators_own_layer():
    held({"source": "trout.prod"}, origin="environment prod")


def test_the_pods_of_a_cluster_need_access_to_the_broker():
    held({}, reached={"default"})
    with pytest.raises(SpecInvalid, match="the cluster of prod has no access") as refused:
        held({}, reached={"other"})
    assert "brokers.default.secret" in refused.value.hint


def test_scaling_by_messages_needs_a_queue():
    scaling = {"autoscaling": {"max": 3, "messages": 5}}
    with pytest.raises(SpecInvalid, match="which has no queue"):
        resolve([(FILE, scaling)], LocalLimits())
    assert resolve([(FILE, scaling | {"runtime": "queue"})], LocalLimits()).spec
    with pytest.raises(SpecInvalid, match="min of at least 1"):
        resolve([(FILE, {"autoscaling": {"min": 0, "max": 3}})], LocalLimits())


def test_a_record_that_uses_no_queue_says_nothing_of_one():
    """An older release, which refuses fields that it does not know, reads it after a downgrade."""
    plain = _whole(ServingSpec.model_validate({"autoscaling": {"min": 1, "max": 2}}))
    assert "queue" not in plain
    assert "messages" not in plain["autoscaling"]
    whole = ServingSpec.model_validate({"queue": {"source": "s"}})
    assert ServingSpec.model_validate(_whole(whole)) == whole


def test_two_deployments_do_not_consume_one_queue():
    mine = {("default", "angler.prod"): {"angler-prod"}}
    held({}, users=mine)
    theirs = {("default", "angler.prod"): {"angler-prod", "angler-staging"}}
    with pytest.raises(SpecInvalid, match="which angler-staging consumes already"):
        held({}, users=theirs)
    held({}, users={("other", "angler.prod"): {"angler-staging"}})
