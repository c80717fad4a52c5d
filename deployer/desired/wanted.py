"""Decide which version a deployment should serve, with what spec. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deployer import naming
from deployer.desired import losses
from deployer.desired.promotions import winner
from deployer.errors import SpecInvalid
from deployer.spec import resolve
from deployer.spec.limits import OPERATORS
from deployer.spec.queue import Asker, QueueRules, hold_queues
from deployer.spec.resolve import Limits, Resolved
from deployer.state.deployment import Policy, Wanted
from deployer.state.predictor import Predictor, Role
from deployer.state.record import Failure, Record
from deployer.state.registry import VersionId

Layers = Sequence[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Draft:
    """The wanted deployment without its version of chart and server, which is chosen after it.

    Attributes:
        wanted: The decision, without a champion.
        spec: The serving spec of the champion; None if there is to be none.
        source: The location of the champion's files.
    """

    wanted: Wanted
    spec: Resolved | None = None
    source: str = ""

    def digest(self, server: str) -> str:
        """Compute the digest of the champion on a version of chart and server; "" without one."""
        version = self.wanted.version
        if self.spec is None or version is None:
            return ""
        about_spec = resolve.spec_digest(self.spec.spec)
        return predictor_digest(version, Role.CHAMPION, about_spec, server)


def draft(
    record: Record,
    layers: Layers,
    limits: Limits,
    policy: Policy,
    now: float,
    queues: QueueRules = QueueRules(),  # noqa: B008 - a value
) -> Draft:
    """Decide which version a deployment should serve, with which spec, and which versions lose.

    Args:
        record: The deployment's record after `see`, with the winner's description.
        layers: The serving spec's layers by origin, without the version's own file. The description
            carries that file, which follows the first layer (the platform's defaults).
        limits: The limits that no version's file may exceed.
        policy: The rules of when a champion that nothing promotes is retired.
        now: Seconds since the epoch.
        queues: The queues that deployments may use.
    """
    promotion = winner(record.promotions)
    if promotion is None:
        absence = record.absence
        due = (
            absence is not None
            and absence.last_listing - absence.since >= policy.retire_after
            and absence.listings >= policy.retire_listings
        )
        return Draft(Wanted(champion=None, retire=due))
    others = tuple(losses.explain(record, promotion, policy))
    about = Wanted(None, promotion.version, promotion.via, promotion.seen_at, others)
    description = record.descriptions.get(promotion.version.key)
    if description is None:
        return Draft(about)
    if description.problem:
        failure = Failure(SpecInvalid.reason, description.problem, description.hint, now)
        return Draft(replace(about, problem=failure))
    own = (("serving.yaml", description.serving_file or {}),)
    try:
        resolved = resolve.resolve([*layers[:1], *own, *layers[1:]], limits)
        if resolved.spec.runtime == "queue":
            asker = Asker(record.id, record.model, record.environment, record.project)
            hold_queues(resolved, queues, asker, OPERATORS)
    except SpecInvalid as error:
        failure = Failure(error.reason, error.message, error.hint, now)
        return Draft(replace(about, problem=failure))
    return Draft(about, resolved, description.source)


def want(drafted: Draft, record: Record) -> Wanted:
    """Complete a draft with the champion on the version of chart and server that is on record."""
    wanted, spec = drafted.wanted, drafted.spec
    if wanted.version is None or spec is None:
        return wanted
    number, digest = wanted.version.number, drafted.digest(record.server)
    champion = Predictor(
        name=naming.predictor_name(record.model, record.environment, number, digest),
        version=wanted.version,
        role=Role.CHAMPION,
        digest=digest,
        source=drafted.source,
        spec=spec.spec,
        origins=spec.origins,
        server=record.server,
    )
    return replace(wanted, champion=champion)


def predictor_digest(version: VersionId, role: Role, spec_digest: str, server: str = "") -> str:
    """Hash a version with its role, spec and server: SHA-256, 64 hex digits."""
    text = f"{version.model}\n{version.key}\n{role}\n{spec_digest}"
    text += f"\n{server}" if server else ""
    return hashlib.sha256(text.encode()).hexdigest()
