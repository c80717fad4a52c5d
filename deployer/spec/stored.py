"""Store a serving spec as plain JSON values, and let equal specs share memory.

Specs are the bulk of ten thousand records, and most of them are equal.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer

from deployer.spec.model import ServingSpec
from deployer.spec.queue import Queue
from deployer.spec.rollout import Analysis

ADDED: Final = frozenset({"bake", "on_no_data", "on_undecided", "return_window"})
"""Fields of `rollout` that releases before this one refuse; like the whole sections `analysis` and
`queue`."""


def _read(value: Any) -> Any:
    return _shared(json.dumps(value, sort_keys=True)) if isinstance(value, Mapping) else value


@lru_cache(maxsize=1024)
def _shared(text: str) -> ServingSpec:
    return ServingSpec.model_validate_json(text)


def _whole(spec: ServingSpec) -> dict[str, Any]:
    """Write every field; those of ADDED only if they are set, so that older releases read it."""
    found = spec.model_dump(mode="json")
    if spec.analysis == Analysis():
        del found["analysis"]
    if spec.queue == Queue():
        del found["queue"]
    if spec.autoscaling and spec.autoscaling.messages is None:
        del found["autoscaling"]["messages"]
    rollout = spec.rollout.model_dump(exclude_defaults=True)
    for name in ADDED.difference(rollout):
        del found["rollout"][name]
    return found


StoredSpec = Annotated[ServingSpec, BeforeValidator(_read), PlainSerializer(_whole)]
"""A serving spec as a record or a predictor's file holds it: every field, with its value."""
