"""Filter decisions by the drift setting of the environment.

The Deployer puts back a field of ours that another actor changed, or only reports it, or leaves it
alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from deployer.config.environment import Environment
from deployer.plan.redact import masked
from deployer.targets.kubernetes.apply.decide import Cause, Decision
from deployer.targets.kubernetes.context import ClusterContext

log = logging.getLogger(__name__)


class DriftFilter:
    """A filter that decides about drift and reports it, as events on ModelDeployments."""

    def __init__(self, context: ClusterContext) -> None:
        self._context = context
        self._found: dict[str, tuple[str, ...]] = {}

    def found(self, deployment: str) -> tuple[str, ...]:
        """Return the drift that is reported and not corrected, a sentence for each object."""
        return self._found.get(deployment, ())

    def choose(
        self, deployment: str, environment: Environment, decisions: Sequence[Decision]
    ) -> list[Decision]:
        """Choose the decisions to carry out, and report drift."""
        drifted = [decision for decision in decisions if decision.cause is Cause.DRIFT]
        sentences = tuple(_sentence(decision) for decision in drifted)
        if environment.drift == "correct":
            self._found.pop(deployment, None)
            for sentence in sentences:
                self._report(deployment, "DriftCorrected", f"{sentence}; it is corrected.")
            return list(decisions)
        if environment.drift == "report":
            for sentence in set(sentences) - set(self.found(deployment)):
                self._report(deployment, "Drift", f"{sentence}; it is left.")
            self._found[deployment] = sentences
        return [decision for decision in decisions if decision.cause is not Cause.DRIFT]

    def _report(self, deployment: str, reason: str, sentence: str) -> None:
        log.warning("%s: %s", deployment, sentence)
        now = self._context.clock()
        self._context.records.emit_event(deployment, reason, sentence, now, warning=True)


def _sentence(decision: Decision) -> str:
    fields = []
    for change in decision.changes:
        shown = masked(change, decision.key.kind)
        fields.append(f"{shown.path} is {shown.was!r} and should be {shown.wanted!r}")
    return f"Another writer changed {decision.key}: {', '.join(fields)}"
