"""Track promotions and decide which version a deployment should serve.

The last promotion wins: the version that most recently began to satisfy the selector. A version
that the registry shows elsewhere (in another stage, without the alias) loses its promotion at once.
A version that the registry does not show keeps its promotion until the registry, asked for the
version by name, has denied it along with two listings. Only such an answer continues the grace time
of a champion that nothing promotes. Where the registry denies the whole model, its promotions are
kept aside, so that they return in their old order if the model comes back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from deployer.desired import losses
from deployer.state.record import Absence, Promotion, Record
from deployer.state.registry import (
    ModelVersion,
    RegisteredModel,
    RegistrySnapshot,
    Selector,
    VersionId,
)

PROJECT_TAG = "schnitzel.project"
"""The tag that a project's pipeline puts on the versions that it registers."""


def matching_versions(
    model: RegisteredModel | None, selector: Selector
) -> list[tuple[ModelVersion, str]]:
    """List the versions that satisfy a selector now, each with the stage or alias that matches."""
    found: list[tuple[ModelVersion, str]] = []
    for version in model.versions if model else ():
        if version.status != "READY":
            continue
        if selector.stage and version.stage == selector.stage:
            found.append((version, f"stage {selector.stage}"))
        if selector.alias and selector.alias in version.aliases:
            found.append((version, f"alias {selector.alias}"))
    return found


def promoted_models(snapshot: RegistrySnapshot, selector: Selector) -> set[str]:
    """Return the names of the models with at least one version that satisfies a selector."""
    return {name for name, model in snapshot.models.items() if matching_versions(model, selector)}


def doubtful_models(
    records: Iterable[Record], snapshot: RegistrySnapshot, selectors: Mapping[str, Selector]
) -> dict[str, set[int]]:
    """Find the models of which a listing alone is no evidence, and the versions that it lacks.

    A listing is in doubt for a model with a promotion on record that the listing does not show, or
    with a champion that no listed version promotes.

    Args:
        records: The records of all deployments.
        snapshot: The registry as the listing shows it.
        selectors: Each environment's stage and alias.
    """
    found: dict[str, set[int]] = {}
    for record in records:
        selector = selectors.get(record.environment)
        if selector is None:
            continue
        model = snapshot.models.get(record.model)
        shown = {version.id.number for version in model.versions} if model else set()
        lacking = {promotion.version.number for promotion in record.promotions} - shown
        if lacking or (record.champion and not matching_versions(model, selector)):
            found.setdefault(record.model, set()).update(lacking)
    return found


def update(
    record: Record,
    snapshot: RegistrySnapshot,
    selector: Selector,
    now: float,
    serving: VersionId | None = None,
) -> Record:
    """Update a record with the promotions that began or ended, or with their absence.

    Args:
        record: The deployment's record so far.
        snapshot: The registry as last read.
        selector: The environment's stage and alias.
        now: Seconds since the epoch.
        serving: The version observed serving, used only for a deployment without any record.
    """
    model = snapshot.models.get(record.model)
    current = matching_versions(model, selector)
    asked, listed_at = record.model in snapshot.asked, snapshot.listed_at
    kept, lost = _split_promotions(
        record, model, {(v.id, via) for v, via in current}, listed_at, asked=asked
    )
    known = {(promotion.version, promotion.via) for promotion in kept}
    fresh = [(v, via) for v, via in current if (v.id, via) not in known]
    first_look = not record.promotions and record.next_sequence == 1
    if first_look:
        serves = record.champion.version if record.champion else serving
        fresh.sort(key=lambda f: (f[0].id == serves, f[1].startswith("alias "), f[0].id.number))
    else:
        fresh.sort(key=lambda f: (f[1].startswith("alias "), f[0].updated, f[0].id.number))
    promotions = [*kept]
    sequence = record.next_sequence
    for version, via in fresh:
        promotions.append(Promotion(version.id, via, sequence, now))
        sequence += 1
    note = record.note
    if fresh:
        several = first_look and len({v.id for v, _ in fresh}) > 1
        note = _first_look_note(fresh, serving) if several else ""
    project = record.project
    if fresh and not project:
        project = fresh[-1][0].tags.get(PROJECT_TAG) or record.model
    return replace(
        record,
        project=project,
        promotions=losses.note_updates(promotions, winner(promotions), model, anew=bool(fresh)),
        next_sequence=sequence,
        note=note,
        absence=None if promotions else _absence(record.absence, lost, listed_at, now, asked=asked),
        retired_at=None if promotions else record.retired_at,
    )


def winner(promotions: Iterable[Promotion]) -> Promotion | None:
    """Return the promotion that began last; None without promotions."""
    return max(promotions, key=lambda promotion: promotion.sequence, default=None)


def _split_promotions(
    record: Record,
    model: RegisteredModel | None,
    current: set[tuple[VersionId, str]],
    listed_at: float,
    *,
    asked: bool,
) -> tuple[tuple[Promotion, ...], tuple[Promotion, ...]]:
    """Split promotions into those that hold and those lost with a model that is denied whole."""
    lost = record.absence.lost if record.absence else ()
    numbers = {version.id.number for version in model.versions} if model else set()
    if not numbers:
        if not asked:
            return record.promotions, lost
        if record.promotions and all(
            _missed_before(promotion, listed_at) for promotion in record.promotions
        ):
            return (), record.promotions
        return tuple(_set_missed(promotion, listed_at) for promotion in record.promotions), lost
    kept = []
    for promotion in (
        *record.promotions,
        *(replace(promotion, missed_at=None) for promotion in lost),
    ):
        if (promotion.version, promotion.via) in current:
            kept.append(replace(promotion, missed_at=None))
        elif promotion.version.number in numbers:
            continue  # shown and no longer promoted, or another version of the same number
        elif not asked:
            kept.append(promotion)
        elif not _missed_before(promotion, listed_at):
            kept.append(_set_missed(promotion, listed_at))
    return tuple(kept), ()


def _set_missed(promotion: Promotion, listed_at: float) -> Promotion:
    return promotion if promotion.missed_at is not None else replace(promotion, missed_at=listed_at)


def _missed_before(promotion: Promotion, listed_at: float) -> bool:
    return promotion.missed_at is not None and promotion.missed_at < listed_at


def _absence(
    before: Absence | None,
    lost: tuple[Promotion, ...],
    listed_at: float,
    now: float,
    *,
    asked: bool,
) -> Absence:
    if before is None:
        return Absence(now, listings=0, last_listing=listed_at, lost=lost)
    if asked and listed_at > before.last_listing:
        listings = before.listings + 1
        return replace(before, listings=listings, last_listing=listed_at, lost=lost)
    return replace(before, lost=lost)


def _first_look_note(fresh: Sequence[tuple[ModelVersion, str]], serving: VersionId | None) -> str:
    chosen, via = fresh[-1]
    if chosen.id == serving:
        why = "it is the one already serving"
    elif via.startswith("alias "):
        why = f"the {via} names it"
    else:
        why = "it is the highest"
    return (
        f"Several versions were promoted before the Deployer first looked; version "
        f"{chosen.id.number} was taken because {why}."
    )
