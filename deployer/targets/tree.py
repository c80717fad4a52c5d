"""Build the tree node of a predictor, the same on every target."""

from __future__ import annotations

from deployer.plan.preview import Node
from deployer.state.observed import ObservedPredictor


def predictor(seen: ObservedPredictor, status: str, children: tuple[Node, ...]) -> Node:
    """Build the node of one predictor.

    Args:
        seen: The observation of the predictor.
        status: The phase of the predictor.
        children: The nodes of the predictor's parts.
    """
    version = seen.predictor.version.number
    return Node(
        "Predictor",
        seen.predictor.name,
        status,
        f"{seen.replicas_ready}/{seen.replicas}",
        f"version {version}, {seen.predictor.role}, {seen.live_weight} %",
        one_line(f"{seen.reason}: {seen.message}" if seen.reason else seen.message),
        children,
    )


def one_line(text: object) -> str:
    """Join the lines of a text; return "" for None."""
    return " ".join(str(text or "").split())
