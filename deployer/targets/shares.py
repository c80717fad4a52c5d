"""Lay the weights of a deployment's predictors side by side as shares of its messages. Pure.

A share is an interval between 0 and 1. A server keeps its own in a file beside its state, which
says what it has taken up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from deployer.state.deployment import WeightedPredictor
from deployer.state.predictor import Predictor

Share = tuple[float, float]

SILENT: Final[Share] = (0.0, 0.0)
"""The share of a server that consumes nothing."""


def shares(predictors: Sequence[WeightedPredictor]) -> Iterator[tuple[Predictor, Share]]:
    """Lay the weights of predictors side by side between 0 and 1."""
    low = 0
    for weighted in predictors:
        high = low + weighted.weight
        yield weighted.predictor, (low / 100, high / 100) if weighted.weight else SILENT
        low = high


def parse(content: Mapping[str, Any]) -> Share | None:
    """Read the share in a server's file; None if there is none."""
    try:
        low, high = content["share"]
        return float(low), float(high)
    except (ValueError, TypeError, KeyError):
        return None


def weight(taken: Collection[Share | None]) -> int:
    """Return the percentage of the messages that a predictor's replicas take.

    Replicas take turns, so that all of them together take the share of one. Where they differ, it
    is a number between them.
    """
    found = {round(100 * (high - low)) for low, high in (share or SILENT for share in taken)}
    return sum(found) // len(found) if found else 0


def combine(routed: int, consumed: int, wanted: int) -> int:
    """Combine the weights at the gateway and in the queue to one: `wanted` where both have it.

    Otherwise it is that of the two which has yet to become `wanted`.
    """
    return routed if consumed == wanted else consumed
