"""In: layers of serving.yaml and an operator's limits; out: one serving spec, origins and digest.

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


@dataclass(frozen=True)
class Resolved:
    """A serving spec, and for each of its dotted fields the name of the layer that set it."""

    spec: ServingSpec
    origins: Mapping[str, str]


def parse_serving_file(data: bytes | str) -> dict[str, Any]:
    """Read the text of a serving.yaml into a layer, checked.

    Raises:
        SpecInvalid: it is not YAML, or not a serving spec.
    """
    try:
        document = yaml_text.load(data)
    except yaml_text.YamlError as error:
        raise SpecInvalid(
            f"serving.yaml, {error}." if error.line else f"serving.yaml {error}.",
            "Mend the file and log the model again.",
        ) from error
    check_layer("serving.yaml", document.values)
    return dict(document.values)


def check_layer(origin: str, layer: Mapping[str, Any]) -> dict[str, Any]:
    """Check one layer by itself; gives back its fields, parsed (seconds, bytes), and no defaults.

    Raises:
        SpecInvalid: a field is unknown or its value is not one; names the layer and the field.
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
    """Lay the layers over one another, weakest first, and hold the result against the limits.

    Args:
        layers: (origin, fields) pairs; the fields as in serving.yaml, any of them or none.
        limits: what no field may pass. A limit on memory or cores also bounds a version that
            asks for none. What may only be named from a list is free to the operator's own layers.
        whole: whether these are all layers, so that fields may be held against one another.

    Raises:
        SpecInvalid: a layer is wrong by itself, or a field passes its limit.
    """
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        checked = check_layer(origin, layer)
        merged = _merge(merged, checked)
        origins |= dict.fromkeys(_leaves(checked), origin)
        # The later of the two ways to count replicas takes the other's place.
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
    """Name a spec: 64 hex digits, the same whatever the order or spelling of its fields.

    A field at its default does not count, so that a release that adds a field renames nothing:
    another name is another predictor, and one that serves would be rolled out anew.
    """
    plain = spec.model_dump(mode="json", exclude_defaults=True)
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
