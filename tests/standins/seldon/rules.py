"""In: a SeldonDeployment's spec. Out: what the webhook says against it; "" for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from standins.seldon import pods, servers

PROTOCOLS = ("", "seldon", "v2", "kfserving", "tensorflow")


def refusal(spec: Mapping[str, Any], config: Mapping[str, Any]) -> str:
    """The first reason to refuse it."""
    predictors = spec.get("predictors") or []
    if not predictors:
        return "Graph contains no predictors"
    if spec.get("protocol", "") not in PROTOCOLS:
        return "Invalid protocol"
    names = [predictor["name"] for predictor in predictors]
    if len(set(names)) < len(names):
        return "Duplicate predictor name"
    return _traffic(predictors) or next(
        (said for p in predictors if (said := _predictor(p, spec.get("protocol", ""), config))), ""
    )


def _traffic(predictors: list[Mapping[str, Any]]) -> str:
    shadows = [p for p in predictors if p.get("shadow")]
    shares = [p.get("traffic", 0) for p in predictors if not p.get("shadow")]
    if len(shadows) > 1:
        return "Multiple shadows are not allowed"
    if not shares:
        return "Shadow can not exist as only predictor"
    if len(shares) == 1 and shares[0] not in (0, 100):
        return "Traffic must sum be 100 for a single predictor when set"
    if len(shares) > 1 and sum(shares) != 100:
        return "Traffic must sum to 100 for multiple predictors"
    return ""


def _predictor(predictor: Mapping[str, Any], protocol: str, config: Mapping[str, Any]) -> str:
    graph = predictor["graph"]
    if not pods.with_engine(predictor) and graph.get("children"):
        return "Running without engine only valid for single element graphs"
    specs = [component.get("spec") or {} for component in predictor.get("componentSpecs") or ()]
    images = {c["name"]: c.get("image", "") for s in specs for c in s.get("containers") or ()}
    for unit in pods.units(graph):
        said = _unit(unit, images, protocol, config)
        if said:
            return said
    return ""


def _unit(
    unit: Mapping[str, Any], images: Mapping[str, str], protocol: str, config: Mapping[str, Any]
) -> str:
    name, implementation = unit["name"], unit.get("implementation", "")
    if servers.is_custom(unit):
        return "" if name in images else "Can't find container for Predictive Unit"
    if implementation not in config:
        missing = f"No entry in predictors map for {implementation}"
        return "" if images.get(name) else missing
    if not unit.get("modelUri"):
        return "Predictive unit modelUri required when using standalone servers"
    if protocol == "tensorflow" and "tensorflow" not in config[implementation]["protocols"]:
        return "Prepackaged server does not handle tensorflow protocol"
    return ""
