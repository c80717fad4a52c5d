"""Number the ports of each container of a whole SeldonDeployment.

With the bug: defaults are counted over the whole resource, http and grpc by the container's name,
metrics by the predictor, so that one predictor's ports depend on the others'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

HTTP, GRPC, METRICS = 9000, 9500, 6000


class Ports(NamedTuple):
    """The port numbers of one container."""

    http: int
    grpc: int
    metrics: int


def of(container: Mapping[str, Any], name: str) -> int | None:
    """The number of a container's own port of that name."""
    found = [p["containerPort"] for p in container.get("ports") or () if p.get("name") == name]
    return found[0] if found else None


class Counter:
    """Gives out ports for one resource, in the order of its containers."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._metrics: list[tuple[str, str]] = []

    def take(self, predictor: str, container: Mapping[str, Any]) -> Ports:
        """The ports of a container: its own where it names them."""
        name = container["name"]
        if name not in self._names:
            self._names.append(name)
        if (predictor, name) not in self._metrics:
            self._metrics.append((predictor, name))
        place = self._names.index(name)
        return Ports(
            of(container, "http") or HTTP + place,
            of(container, "grpc") or GRPC + place,
            of(container, "metrics") or METRICS + self._metrics.index((predictor, name)),
        )


def declared(container: Mapping[str, Any], ports: Ports, *, metrics: bool) -> list[dict[str, Any]]:
    """The container's ports with those that were absent: metrics first, then its own."""
    own = list(container.get("ports") or ())
    first = [_port("metrics", ports.metrics)] if metrics and not of(container, "metrics") else []
    rest: Sequence[tuple[str, int]] = (("http", ports.http), ("grpc", ports.grpc))
    return [*first, *own, *(_port(n, p) for n, p in rest if not of(container, n))]


def _port(name: str, number: int) -> dict[str, Any]:
    return {"name": name, "containerPort": number, "protocol": "TCP"}
