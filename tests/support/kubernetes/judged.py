"""What was read of a predictor on a cluster, now or recorded, and what is judged of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from deployer.spec.model import ServingSpec
from deployer.state.observed import ObservedPredictor
from deployer.state.predictor import Predictor, Role
from deployer.state.registry import VersionId
from deployer.targets.kubernetes.observe.predictor import Seen, observe
from support import ROOT

RECORDED = ROOT / "tests/unit/deployer/targets/kubernetes/recorded"
"""Made by tests/node/deployer/targets/kubernetes/diagnosis/test_provoked.py on a real node."""


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    return found


def judge(name: str, read: Mapping[str, Any], weight: int = 0) -> ObservedPredictor:
    predictor = Predictor(name, VersionId("angler", 2, 1), Role.CHAMPION, "d", "s", ServingSpec())
    told = {part: read[part] for part in ("deployment", "pods", "events", "log", "answer")}
    return observe(predictor, Seen(**told), read["now"], weight=weight)
