"""Explain why promoted versions are not served.

A version that is moved to the stage that it is in, or out of its stage and back between two polls,
is only updated, just as by Save on its description. So an update promotes nothing, and the
explanation mentions the update.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from deployer import hints
from deployer.state.deployment import Losing, Policy
from deployer.state.record import Promotion, Record
from deployer.state.registry import RegisteredModel

PAUSE_SECONDS = 10.0
"""The least time out of its stage after which a version that returns there is promoted."""


def note_updates(
    promotions: Sequence[Promotion],
    won: Promotion | None,
    model: RegisteredModel | None,
    *,
    anew: bool,
) -> tuple[Promotion, ...]:
    """Note on each promotion by stage whether its version was updated since another version won.

    Args:
        promotions: The promotions that hold.
        won: The promotion that began last.
        model: The registered model as the registry shows it.
        anew: Whether one of the promotions just began.
    """
    rows = {version.id: version for version in model.versions} if model else {}
    began = rows[won.version].updated if won and won.version in rows else 0
    by_alias = won is not None and won.via.startswith("alias ")  # MLflow keeps no time of an alias
    found = []
    for promotion in promotions:
        row = rows.get(promotion.version)
        if won is None or row is None or not promotion.via.startswith("stage "):
            found.append(promotion)
            continue
        wins = promotion.version == won.version
        lost_now = anew and (by_alias or row.updated <= began)
        known = row.updated if wins or lost_now or not promotion.updated else promotion.updated
        later = row.updated if row.updated > known else 0
        found.append(replace(promotion, updated=known, touched=later))
    return tuple(found)


def explain(record: Record, won: Promotion, policy: Policy) -> Iterable[Losing]:
    """Explain for each promoted version that did not win why, and which command serves it."""
    pause = max(PAUSE_SECONDS, 3 * policy.poll)
    serves = record.champion.version if record.champion else None
    seen = {won.version}
    for promotion in sorted(record.promotions, key=lambda m: -m.sequence):
        if promotion.version in seen:
            continue
        seen.add(promotion.version)
        number, environment = promotion.version.number, record.environment
        stands = f"is not served in {environment}: version {won.version.number} was promoted later"
        wish = "serve"
        if promotion.version == serves:
            stands = (
                f"serves in {environment} only until version {won.version.number} does, which was "
                "promoted later"
            )
            wish = "keep"
        own = (one for one in record.promotions if one.version == promotion.version)
        last = max(own, key=lambda one: one.touched)
        yield Losing(
            promotion.version,
            promotion.via,
            f"Version {number} ({promotion.via}) {stands}. {_note(last, pause)}If it is not to be "
            "served, archive it or take its alias away. "
            f"To {wish} it: {hints.promote(record, number)}",
            last.touched / 1000 if last.touched else None,
        )


def _note(promotion: Promotion, pause: float) -> str:
    """Say when a version was updated later, that this promotes nothing, and which steps do.

    Empty for a version without a later update.
    """
    if not promotion.touched:
        return ""
    at = datetime.fromtimestamp(promotion.touched / 1000, UTC)
    return (
        f"It was touched after that, at {at:%Y-%m-%d %H:%M:%S} UTC, which promotes nothing: nobody "
        "can tell a second promotion from an edit of its description. To promote it by hand, take "
        f"it out of the {promotion.via}, wait {pause:g} s (longer than a poll), and put it back. "
    )
