"""In: a registry snapshot, a record and an environment's selector. Out: the promotions, the wanted.

The last promotion wins: the version that most recently began to satisfy the selector. One that is
seen elsewhere (another stage, an alias moved) loses its mark at once. One that is not shown keeps
it, until the registry, asked for it by name, has denied it along with two listings; and only such
an answer lets the grace time of a champion that nothing promotes go on. Where the registry denies
the whole model, the marks are kept aside, so that all is in its old order if the model comes back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from deployer import naming
from deployer.desired import losses
from deployer.errors import SpecInvalid
from deployer.spec import resolve
from deployer.spec.resolve import Limits
from deployer.state.deployment import (
    Absence,
    Failure,
    Policy,
    Predictor,
    Promotion,
    Record,
    Role,
    Wanted,
)
from deployer.state.registry import (
    ModelVersion,
    RegisteredModel,
    RegistrySnapshot,
    Selector,
    VersionId,
)

PROJECT_TAG = "schnitzel.project"
"""The tag that a project's pipeline puts on the versions that it registers."""

Layers = Sequence[tuple[str, Mapping[str, Any]]]


def promotions(model: RegisteredModel | None, selector: Selector) -> list[tuple[ModelVersion, str]]:
    """The versions that satisfy a selector now, each with what makes it do so."""
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
    """The names of the models with at least one version that an environment wants."""
    return {name for name, model in snapshot.models.items() if promotions(model, selector)}


def doubted(
    records: Iterable[Record], snapshot: RegistrySnapshot, selectors: Mapping[str, Selector]
) -> dict[str, set[int]]:
    """Name the models of which a listing alone is no evidence, and the versions that it lacks.

    They are those with a promotion on record that is not shown, or with a champion that nothing
    shown promotes.

    Args:
        records: Every deployment's memory.
        snapshot: What the listing shows.
        selectors: Each environment's stage and alias.
    """
    found: dict[str, set[int]] = {}
    for record in records:
        selector = selectors.get(record.environment)
        if selector is None:
            continue
        model = snapshot.models.get(record.model)
        shown = {version.id.number for version in model.versions} if model else set()
        lacking = {mark.version.number for mark in record.marks} - shown
        if lacking or (record.serving and not promotions(model, selector)):
            found.setdefault(record.model, set()).update(lacking)
    return found


def see(
    record: Record,
    snapshot: RegistrySnapshot,
    selector: Selector,
    now: float,
    serving: VersionId | None = None,
) -> Record:
    """Remember what the registry shows: promotions begun and ended, or that there is none.

    Args:
        record: The deployment's memory so far.
        snapshot: What the registry held at the last look.
        selector: The environment's stage and alias.
        now: Seconds since the epoch.
        serving: The version that is seen serving, used only where there is no memory at all.
    """
    model = snapshot.models.get(record.model)
    current = promotions(model, selector)
    asked, listed_at = record.model in snapshot.asked, snapshot.listed_at
    kept, lost = _kept(record, model, {(v.id, via) for v, via in current}, listed_at, asked=asked)
    known = {(mark.version, mark.via) for mark in kept}
    fresh = [(v, via) for v, via in current if (v.id, via) not in known]
    first_look = not record.marks and record.next_sequence == 1
    if first_look:
        serves = record.serving.version if record.serving else serving
        fresh.sort(key=lambda f: (f[0].id == serves, f[1].startswith("alias "), f[0].id.number))
    else:
        fresh.sort(key=lambda f: (f[1].startswith("alias "), f[0].updated, f[0].id.number))
    marks = [*kept]
    sequence = record.next_sequence
    for version, via in fresh:
        marks.append(Promotion(version.id, via, sequence, now))
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
        marks=losses.touched(marks, winner(marks), model, anew=bool(fresh)),
        next_sequence=sequence,
        note=note,
        absence=None if marks else _absence(record.absence, lost, listed_at, now, asked=asked),
        retired_at=None if marks else record.retired_at,
    )


def winner(marks: Iterable[Promotion]) -> Promotion | None:
    """The promotion that began last."""
    return max(marks, key=lambda mark: mark.sequence, default=None)


def want(record: Record, layers: Layers, limits: Limits, policy: Policy, now: float) -> Wanted:
    """Decide which version a deployment should serve, with what spec, and who loses.

    Args:
        record: The deployment's memory after `see`, with the winner's description.
        layers: The serving spec's layers by origin, without the version's own file, which the
            description carries; it comes after the first (the platform's defaults).
        limits: What no version's file may pass.
        policy: When a champion that nothing promotes is retired.
        now: Seconds since the epoch.
    """
    mark = winner(record.marks)
    if mark is None:
        absence = record.absence
        due = (
            absence is not None
            and absence.last_listing - absence.since >= policy.retire_after
            and absence.listings >= policy.retire_listings
        )
        return Wanted(champion=None, retire=due)
    others = tuple(losses.losing(record, mark, policy))
    about = Wanted(None, mark.version, mark.via, mark.seen_at, others)
    description = record.descriptions.get(mark.version.key)
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
    digest = predictor_digest(mark.version, Role.CHAMPION, about_spec, record.server)
    champion = Predictor(
        name=naming.predictor_name(record.model, record.environment, mark.version.number, digest),
        version=mark.version,
        role=Role.CHAMPION,
        digest=digest,
        source=description.source,
        spec=resolved.spec.model_dump(mode="json"),
        origins=resolved.origins,
        server=record.server,
    )
    return replace(about, champion=champion)


def predictor_digest(version: VersionId, role: Role, spec_digest: str, server: str = "") -> str:
    """Name a version with a spec and a server: the same text for the same, 64 hex digits."""
    text = f"{version.model}\n{version.key}\n{role}\n{spec_digest}"
    text += f"\n{server}" if server else ""
    return hashlib.sha256(text.encode()).hexdigest()


def _kept(
    record: Record,
    model: RegisteredModel | None,
    current: set[tuple[VersionId, str]],
    listed_at: float,
    *,
    asked: bool,
) -> tuple[tuple[Promotion, ...], tuple[Promotion, ...]]:
    """The marks that hold, and those that went because the registry denies the whole model."""
    lost = record.absence.lost if record.absence else ()
    numbers = {version.id.number for version in model.versions} if model else set()
    if not numbers:
        if not asked:
            return record.marks, lost
        if record.marks and all(_missed_before(mark, listed_at) for mark in record.marks):
            return (), record.marks
        return tuple(_missed(mark, listed_at) for mark in record.marks), lost
    kept = []
    for mark in (*record.marks, *(replace(mark, missed_at=None) for mark in lost)):
        if (mark.version, mark.via) in current:
            kept.append(replace(mark, missed_at=None))
        elif mark.version.number in numbers:
            continue  # seen, and no longer promoted; or another version under the same number
        elif not asked:
            kept.append(mark)
        elif not _missed_before(mark, listed_at):
            kept.append(_missed(mark, listed_at))
    return tuple(kept), ()


def _missed(mark: Promotion, listed_at: float) -> Promotion:
    return mark if mark.missed_at is not None else replace(mark, missed_at=listed_at)


def _missed_before(mark: Promotion, listed_at: float) -> bool:
    return mark.missed_at is not None and mark.missed_at < listed_at


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
