"""Merge the layers of serving.yaml into one serving spec within an operator's limits.

The layers, from the weakest: the platform's defaults, the version's serving.yaml, the environment's
overlay, an operator's override. A later layer wins field by field; a list is one field.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pydantic import ValidationError

from deployer.errors import SpecInvalid
from deployer.schema import yaml_text
from deployer.schema.problems import explain
from deployer.schema.units import parse_duration, parse_quantity
from deployer.spec.limits import Limits, hold
from deployer.spec.model import ServingSpec
from deployer.spec.notes import notes
from deployer.spec.runtimes import Runtime

__all__ = [
    "Limits",
    "Resolved",
    "Runtime",
    "ServingSpec",
    "check_layer",
    "notes",
    "parse_duration",
    "parse_quantity",
    "parse_serving_file",
    "resolve",
    "spec_digest",
]

DEFAULT_ORIGIN: Final = "default"
LIMITS_ORIGIN: Final = "limits"
COUNTED_OF_ROLLOUT: Final = frozenset(
    {"steps", "step_seconds", "ready_timeout", "drain", "example"}
)
"""The fields of `rollout` that a spec's digest covers; later fields of the section never count."""
GUIDING_SECTIONS: Final = ("analysis", "experiment", "shadow")
"""Sections that say how a version gets its traffic, and never what serves it."""


@dataclass(frozen=True)
class Resolved:
    """A serving spec, and the layer that set each of its dotted fields."""

    spec: ServingSpec
    origins: Mapping[str, str]


def parse_serving_file(data: bytes | str) -> dict[str, Any]:
    """Parse and check the text of a serving.yaml as a layer.

    Raises:
        SpecInvalid: the text is not YAML, or not a serving spec.
    """
    try:
        document = yaml_text.load(data)
    except yaml_text.YamlError as error:
        raise SpecInvalid(
            f"serving.yaml, {error}." if error.line else f"serving.yaml {error}.",
            "Correct the file and log the model again.",
        ) from error
    check_layer("serving.yaml", document.values)
    return dict(document.values)


def check_layer(origin: str, layer: Mapping[str, Any]) -> dict[str, Any]:
    """Check a single layer, and return its fields parsed (seconds, bytes), without defaults.

    Raises:
        SpecInvalid: a field is unknown or its value invalid; names the layer and the field.
    """
    try:
        return ServingSpec.model_validate(layer).model_dump(exclude_unset=True)
    except ValidationError as error:
        problems = explain(error, ServingSpec)
        raise SpecInvalid(
            f"{origin}: {'; '.join(problem.sentence for problem in problems)}.",
            problems[0].remedy or "See the reference of serving.yaml.",
        ) from error


def resolve(
    layers: Sequence[tuple[str, Mapping[str, Any]]], limits: Limits, *, whole: bool = True
) -> Resolved:
    """Merge the layers, weakest first, and check the result against the limits.

    Args:
        layers: (origin, fields) pairs; the fields as in serving.yaml, any of them or none.
        limits: the operator's limits. A limit on memory or cores also bounds a version that asks
            for none. The lists of allowed names do not hold for the operator's own layers.
        whole: whether these are all layers, so that fields can be checked against one another.

    Raises:
        SpecInvalid: a single layer is invalid, or a field exceeds its limit.
    """
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        checked = check_layer(origin, layer)
        merged = _merge(merged, checked)
        origins |= dict.fromkeys(_leaves(checked), origin)
        # `replicas` and `autoscaling` exclude each other: the later layer's replaces the earlier.
        if checked.get("autoscaling"):
            merged.pop("replicas", None)
            origins.pop("replicas", None)
        elif "replicas" in checked and merged.get("autoscaling"):
            merged["autoscaling"] = None
            origins["autoscaling"] = origin
    spec = ServingSpec.model_validate(merged)
    bounded = {
        name: bound
        for name, bound in (("cpu", limits.cpu), ("memory", limits.memory))
        if bound is not None and getattr(spec.resources, name) is None
    }
    if bounded:
        spec = ServingSpec.model_validate(_merge(merged, {"resources": bounded}))
        origins |= {f"resources.{name}": LIMITS_ORIGIN for name in bounded}
    every = {name: origins.get(name, DEFAULT_ORIGIN) for name in _leaves(spec.model_dump())}
    hold(spec, limits, every, whole=whole)
    return Resolved(spec, every)


def spec_digest(spec: ServingSpec) -> str:
    """Compute a spec's digest: 64 hex digits, whatever the order or spelling of its fields.

    A field at its default does not count, so that a release that adds a field changes no digest:
    another digest is another predictor, and a serving predictor would be rolled out anew. Fields
    that say how a version gets its traffic count only if they always have: a tuned threshold is
    no reason to roll out what serves.
    """
    plain = spec.model_dump(mode="json", exclude_defaults=True, exclude=set(GUIDING_SECTIONS))
    counted = {
        name: value
        for name, value in plain.pop("rollout", {}).items()
        if name in COUNTED_OF_ROLLOUT
    }
    if "steps" in counted:  # of a step that is a section, the share alone
        counted["steps"] = spec.rollout.weights
    plain |= {"rollout": counted} if counted else {}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        nested = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = _merge(cast(Mapping[str, Any], below), value) if nested else value
    return merged


def _leaves(fields: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in fields.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
