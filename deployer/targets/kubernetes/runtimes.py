"""In: a serving spec's runtime. Out: which chart renders it, and what a predictor is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from deployer.targets.kubernetes.kinds import CONFIG_MAP, DEPLOYMENT, SERVICE, Kind


@dataclass(frozen=True, slots=True)
class Runtime:
    """What differs between runtimes on a cluster; all else is the same.

    Attributes:
        chart: its folder's name.
        whole: the kinds without any of which a predictor is rendered anew.
        environment: whether its pods run the model's own environment.
    """

    chart: str
    whole: frozenset[Kind] = frozenset({CONFIG_MAP, DEPLOYMENT, SERVICE})
    environment: bool = True


RUNTIMES: Final[Mapping[str, Runtime]] = {
    "mlflow": Runtime("model-server"),
    "tfserving": Runtime("tfserving", environment=False),
}


def runtime_of(spec: Mapping[str, Any]) -> Runtime:
    """The runtime of a predictor's spec; of one from an earlier release, our own server.

    Raises:
        KeyError: nothing serves it on a cluster.
    """
    return RUNTIMES[str(spec.get("runtime", "mlflow"))]
