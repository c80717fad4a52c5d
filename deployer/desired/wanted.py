"""Decide which version a deployment should serve, with what spec. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from deployer import naming
from deployer.desired import losses
from deployer.desired.promotions import winner
from deployer.errors import SpecInvalid
from deployer.spec import resolve
from deployer.spec.resolve import Limits
from deployer.state.deployment import Policy, Wanted
from deployer.state.predictor import Predictor, Role
from deployer.state.record import Failure, Record
from deployer.state.registry import VersionId

Layers = Sequence[tuple[str, Mapping[str, Any]]]


def want(record: Record, layers: Layers, limits: Limits, policy: Policy, now: float) -> Wanted:
    """Decide which version a deployment should serve, with which spec, and which versions lose.

    Args:
        record: The deployment's record after `see`, with the winner's description.
        layers: The serving spec's layers by origin, without the version's own file. The description
            carries that file, which follows the first layer (the platform's defaults).
        limits: The limits that no version's file may exceed.
        policy: The rules of when a champion that nothing promotes is retired.
        now: Seconds since the epoch.
    """
    promotion = winner(record.promotions)
    if promotion is None:
        absence = record.absence
        due = (
            absence is not None
            and absence.last_listing - absence.since >= policy.retire_after
            and absence.listings >= policy.retire_listings
        )
        return Wanted(champion=None, retire=due)
    others = tuple(losses.explain(record, promotion, policy))
    about = Wanted(None, promotion.version, promotion.via, promotion.seen_at, others)
    description = record.descriptions.get(promotion.version.key)
    if description is None:
        return about
    if description.problem:
        failure = Failure(SpecInvalid.reason, description.problem, description.hint, now)
        return replace(about, problem=failure)
    own = (("serving.yaml", description.serving_file or {}),)
    try:
        resolved = resolve.resolve([*layers[:1], *own, *layers[1:]], limits)
    except SpecInvalid as error:
        failure = Failure(error.reason, error.message, error.hint, now)
        return replace(about, problem=failure)
    about_spec = resolve.spec_digest(resolved.spec)
    digest = predictor_digest(promotion.version, Role.CHAMPION, about_spec, record.server)
    champion = Predictor(
        name=naming.predictor_name(
            record.model, record.environment, promotion.version.number, digest
        ),
        version=promotion.version,
        role=Role.CHAMPION,
        digest=digest,
        source=description.source,
        spec=resolved.spec.model_dump(mode="json"),
        origins=resolved.origins,
        server=record.server,
    )
    return replace(about, champion=champion)


def predictor_digest(version: VersionId, role: Role, spec_digest: str, server: str = "") -> str:
    """Hash a version with its role, spec and server: SHA-256, 64 hex digits."""
    text = f"{version.model}\n{version.key}\n{role}\n{spec_digest}"
    text += f"\n{server}" if server else ""
    return hashlib.sha256(text.encode()).hexdigest()
