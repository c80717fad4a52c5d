"""Judge a SeldonDeployment's spec as the webhook does, and build the answer that says so.

Read in operator/apis/machinelearning.seldon.io/v1/seldondeployment_webhook.go (FIDELITY.md): each
check is there, in that order, and no other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from standins.seldon.pods import NO_ENGINE, units
from standins.seldon.servers import UNKNOWN

GROUP = "machinelearing.seldon.io"
"""Misspelt by the real one as well."""
ALLOWED = {
    "protocol": ("seldon", "tensorflow", "kfserving", "v2"),
    "transport": ("rest", "grpc"),
    "serverType": ("rpc", "kafka", "rabbitmq"),
}
WITHOUT_CONTAINER = ("SIMPLE_MODEL", "SIMPLE_ROUTER", "RANDOM_ABTEST", "AVERAGE_COMBINER")
NOT_TENSORFLOW = ("SKLEARN_SERVER", "XGBOOST_SERVER", "MLFLOW_SERVER", "HUGGINGFACE_SERVER")
KAFKA = {"KAFKA_BROKER", "KAFKA_INPUT_TOPIC", "KAFKA_OUTPUT_TOPIC"}

Spec = Mapping[str, Any]


class Refusal(NamedTuple):
    """One field that is refused, with its value."""

    field: str
    value: str
    detail: str

    @property
    def body(self) -> str:
        """What is said of the field."""
        return f"Invalid value: {json.dumps(self.value)}: {self.detail}"


def answer(refused: list[Refusal], name: str) -> dict[str, Any]:
    """Return the Status that Go's `NewInvalid` makes of refusals; `name` is `spec.name`."""
    lines = list(dict.fromkeys(f"{each.field}: {each.body}" for each in refused))
    said = lines[0] if len(lines) == 1 else f"[{', '.join(lines)}]"
    causes = [
        {"reason": "FieldValueInvalid", "message": each.body, "field": each.field}
        for each in refused
    ]
    return {
        "metadata": {},
        "status": "Failure",
        "message": f'SeldonDeployment.{GROUP} "{name}" is invalid: {said}',
        "reason": "Invalid",
        "details": {"name": name, "group": GROUP, "kind": "SeldonDeployment", "causes": causes},
        "code": 422,
    }


def refusals(spec: Spec, config: Mapping[str, Any]) -> list[Refusal]:
    """Return all that is refused, in the webhook's order; `config` is `predictor_servers`."""
    return list(_refusals(spec, spec.get("predictors") or [], config))


def _refusals(spec: Spec, predictors: list[Spec], config: Mapping[str, Any]) -> Iterator[Refusal]:
    for name, allowed in ALLOWED.items():
        if spec.get(name) and spec[name] not in allowed:
            yield Refusal("spec", spec[name], f"Invalid {name}")
    if spec.get("serverType") == "kafka":
        yield from _kafka(predictors)
    if len(predictors) == 1 and predictors[0].get("shadow"):
        name = predictors[0]["name"]
        yield Refusal("spec.predictors[0]", name, "Shadow can not exist as only predictor")
    if not predictors:
        yield Refusal("spec", spec.get("transport", ""), "Graph contains no predictors")
    names: set[str] = set()
    for place, predictor in enumerate(predictors):
        field, name = f"spec.predictors[{place}]", predictor["name"]
        alone = NO_ENGINE in (predictor.get("annotations") or {})
        if alone and len(list(units(predictor["graph"]))) > 1:
            said = "Running without engine only valid for single element graphs"
            yield Refusal(field, name, said)
        if name in names:
            yield Refusal(field, name, "Duplicate predictor name")
        names.add(name)
        images = _images(predictor)
        protocol = spec.get("protocol", "")
        yield from _units(predictor["graph"], f"{field}.graph", images, protocol, config)
    yield from _transports(spec.get("transport", ""), predictors)
    yield from _traffic(predictors)


def _kafka(predictors: list[Spec]) -> Iterator[Refusal]:
    for place, predictor in enumerate(predictors):
        given = [each["name"] for each in (predictor.get("svcOrchSpec") or {}).get("env") or ()]
        if sum(name in KAFKA for name in given) < len(KAFKA):
            said = (
                "For kafka please supply svcOrchSpec envs "
                "KAFKA_BROKER, KAFKA_INPUT_TOPIC, KAFKA_OUTPUT_TOPIC"
            )
            yield Refusal(f"spec.predictors[{place}]", predictor["name"], said)


def _images(predictor: Spec) -> dict[str, str]:
    specs = [component.get("spec") or {} for component in predictor.get("componentSpecs") or ()]
    containers = [c for spec in specs for c in spec.get("containers") or ()]
    return {c["name"]: c.get("image", "") for c in reversed(containers)}


def _units(
    unit: Spec, field: str, images: Mapping[str, str], protocol: str, config: Mapping[str, Any]
) -> Iterator[Refusal]:
    name, implementation = unit["name"], unit.get("implementation", UNKNOWN)
    if implementation == UNKNOWN:
        if name not in images:
            yield Refusal(field, name, "Can't find container for Predictive Unit")
        if unit.get("type") == "UNKNOWN_TYPE" and not unit.get("methods"):
            said = (
                "Predictive Unit has no implementation methods defined. "
                "Change to a known type or add what methods it defines"
            )
            yield Refusal(field, name, said)
    elif implementation and implementation not in WITHOUT_CONTAINER:
        if not unit.get("modelUri") and implementation != "HUGGINGFACE_SERVER":
            said = "Predictive unit modelUri required when using standalone servers"
            yield Refusal(field, name, said)
        if protocol == "tensorflow" and implementation in NOT_TENSORFLOW:
            said = f"Prepackaged server does not handle tensorflow protocol {implementation}"
            yield Refusal(field, name, said)
        if not images.get(name) and implementation not in config:
            yield Refusal(field, name, f"No entry in predictors map for {implementation}")
    logger = unit.get("logger")
    if logger is not None and not logger.get("mode"):
        yield Refusal(field, "", "No logger mode specified")
    for place, child in enumerate(unit.get("children") or ()):
        yield from _units(child, f"{field}[{place}]", images, protocol, config)


def _transports(transport: str, predictors: list[Spec]) -> Iterator[Refusal]:
    graphs = [unit for predictor in predictors for unit in units(predictor["graph"])]
    found = {kind for unit in graphs if (kind := (unit.get("endpoint") or {}).get("type"))}
    if len(found) > 1:
        said = (
            "Multiple endpoint.types found - can only have 1 type in graph. "
            "Please use spec.transport"
        )
        yield Refusal("spec", "", said)
    elif transport and any(kind in ("REST", "GRPC") for kind in found - {transport.upper()}):
        said = (
            "Mixed transport types found. "
            "Remove graph endpoint.types if transport set at deployment level"
        )
        yield Refusal("spec", "", said)


def _traffic(predictors: list[Spec]) -> Iterator[Refusal]:
    shadows = [predictor for predictor in predictors if predictor.get("shadow")]
    for place, shadow in enumerate(shadows):
        if place:
            yield Refusal("spec", shadow["name"], "Multiple shadows are not allowed")
        if not 0 <= shadow.get("traffic", 0) <= 100:
            said = "shadow traffic is illegal, the traffic number should be between [0, 100]"
            yield Refusal("spec", shadow["name"], said)
    total = sum(each.get("traffic", 0) for each in predictors if not each.get("shadow"))
    if total != 100 and len(predictors) - len(shadows) > 1:
        said = "Traffic must sum to 100 for multiple predictors"
        yield Refusal("spec", predictors[0]["name"], said)
    if 0 < total < 100 and len(predictors) == 1:
        said = "Traffic must sum be 100 for a single predictor when set"
        yield Refusal("spec", predictors[0]["name"], said)
