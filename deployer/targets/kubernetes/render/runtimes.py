"""In: a serving spec's runtime. Out: which chart renders it, and what a predictor is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from deployer.spec.runtimes import runtime_name
from deployer.targets.kubernetes.client.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    SELDON_DEPLOYMENT,
    SERVICE,
    Kind,
)


@dataclass(frozen=True, slots=True)
class Runtime:
    """What differs between runtimes on a cluster; all else is the same.

    Attributes:
        chart: its folder's name.
        whole: the kinds without any of which a predictor is rendered anew.
    """

    chart: str
    whole: frozenset[Kind]


RUNTIMES: Final[Mapping[str, Runtime]] = {
    "mlflow": Runtime("model-server", frozenset({CONFIG_MAP, DEPLOYMENT, SERVICE})),
    "seldon": Runtime("seldon", frozenset({SELDON_DEPLOYMENT, SERVICE})),
    "tfserving": Runtime("tfserving", frozenset({CONFIG_MAP, DEPLOYMENT, SERVICE})),
}


def runtime_of(spec: Mapping[str, Any]) -> Runtime:
    """The runtime of a predictor's spec.

    Raises:
        KeyError: nothing serves it on a cluster.
    """
    return RUNTIMES[runtime_name(spec)]


def runs_tensorflow(spec: Mapping[str, Any]) -> bool:
    """Whether TensorFlow Serving does the work, so that no environment of Python's is needed."""
    name = runtime_name(spec)
    return name == "tfserving" or (name == "seldon" and spec["seldon"]["shape"] == "tensorflow")
