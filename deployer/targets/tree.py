"""In: what is observed of a predictor. Out: its node of a tree, the same on every target."""

from __future__ import annotations

from deployer.plan.preview import Node
from deployer.state.deployment import ObservedPredictor


def predictor(seen: ObservedPredictor, status: str, children: tuple[Node, ...]) -> Node:
    """The node of one predictor.

    Args:
        seen: What is observed of it.
        status: One word on how it is.
        children: What it is made of.
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
    """A text without its line breaks; nothing for None."""
    return " ".join(str(text or "").split())
