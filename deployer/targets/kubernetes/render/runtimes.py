"""Map each runtime to its chart, and to the kinds that make a predictor whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from deployer.spec.model import ServingSpec
from deployer.targets.kubernetes.client.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    SELDON_DEPLOYMENT,
    SERVICE,
    Kind,
)


@dataclass(frozen=True, slots=True)
class Runtime:
    """The differences between runtimes on a cluster; all else is the same.

    Attributes:
        chart: The name of the chart's folder.
        whole: The kinds of a whole predictor; one that lacks any of them is rendered anew.
    """

    chart: str
    whole: frozenset[Kind]


RUNTIMES: Final[Mapping[str, Runtime]] = {
    "mlflow": Runtime("model-server", frozenset({CONFIG_MAP, DEPLOYMENT, SERVICE})),
    "seldon": Runtime("seldon", frozenset({SELDON_DEPLOYMENT, SERVICE})),
    "tfserving": Runtime("tfserving", frozenset({CONFIG_MAP, DEPLOYMENT, SERVICE})),
    "queue": Runtime("model-server", frozenset({CONFIG_MAP, DEPLOYMENT, SERVICE})),
}


def runtime_of(spec: ServingSpec) -> Runtime:
    """Look up the runtime of a predictor's spec.

    Raises:
        KeyError: No chart serves the runtime on a cluster.
    """
    return RUNTIMES[spec.runtime]


def runs_tensorflow(spec: ServingSpec) -> bool:
    """Decide whether TensorFlow Serving does the work, so that no Python environment is needed."""
    seldon = spec.runtime == "seldon" and spec.seldon.shape == "tensorflow"
    return spec.runtime == "tfserving" or seldon
