"""Attribute new promotions to the users who claim them.

MLflow does not record who moved a stage or an alias. `schnitzel model promote` names its user in a
tag that it sets on the version just before. Every user who may promote may also set that tag, so
the tag is a claim and no proof, and is shown as a claim. The read that shows a promotion shows its
claim, too, so that a pass takes the claim from the snapshot and asks MLflow nothing.

One tag stands for one promotion: once the record with the promotion is saved, a background job
deletes the tag, and until then the tag signs no other promotion. An old tag signs none either.
MLflow keeps no time of a tag, so the age of a tag is counted from the first listing that showed it,
by the Deployer's clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Final

from deployer.background.jobs import Jobs
from deployer.errors import NotFound
from deployer.registry import rows
from deployer.registry.snapshot import Registry
from deployer.state.record import Promotion, Record
from deployer.state.registry import RegistrySnapshot, VersionId

MOST_SECONDS: Final = 60.0
MOST_CHARACTERS: Final = 64
BEFORE_START: Final = float("-inf")

Tag = tuple[VersionId, str]  # a version, and the tag's key


class Promoters:
    """A reader of the tags that sign promotions; it uses each tag once, and deletes it.

    Args:
        registry: The registry, whose snapshot has the tags.
        clock: Seconds since the epoch, for the pauses between attempts to delete a tag.
    """

    def __init__(self, registry: Registry, clock: Callable[[], float] = time.time) -> None:
        self._registry = registry
        self._first: dict[Tag, tuple[str, float]] = {}
        self._used: dict[Tag, str] = {}
        self._listed_at: float | None = None
        self._lock = threading.Lock()
        self._jobs: Jobs[bool] = Jobs("promoters", 1, clock, ended=self._ended)

    def note(self, snapshot: RegistrySnapshot | None, now: float) -> None:
        """Note when each tag first appeared; the tags of the first listing count as old."""
        with self._lock:
            if snapshot is None or snapshot.listed_at == self._listed_at:
                return
            since = BEFORE_START if self._listed_at is None else now
            self._listed_at = snapshot.listed_at
            found: dict[Tag, tuple[str, float]] = {}
            for model in snapshot.models.values():
                for version in model.versions:
                    for key, value in rows.claims(version.tags).items():
                        before = self._first.get((version.id, key), ("", 0.0))
                        known = before if before[0] == value else (value, since)
                        found[version.id, key] = known
            self._first = found
            self._used = {
                tag: value for tag, value in self._used.items() if value == _value(snapshot, tag)
            }
            left = [*self._used.items()]
        for tag, value in left:  # MLflow refused to delete it, or did not answer
            self._delete(tag, value)

    def sign(self, record: Record, sequence: int, snapshot: RegistrySnapshot, now: float) -> Record:
        """Set `by` of the promotions from `sequence` on to the users who claim them.

        Args:
            record: The record with the promotions that the snapshot shows.
            sequence: The first sequence number of the new promotions.
            snapshot: The registry as last read.
            now: Seconds since the epoch.
        """
        fresh = {
            promotion.version for promotion in record.promotions if promotion.sequence >= sequence
        }
        if not fresh:
            return record
        key = _key(record)
        claimed = {version: self._claim((version, key), snapshot, now) for version in fresh}
        for (
            promotion
        ) in record.promotions:  # an alias moved, and then a stage: one promotion by one user
            if (
                promotion.version in fresh
                and promotion.by
                and now - promotion.seen_at <= MOST_SECONDS
            ):
                claimed[promotion.version] = claimed[promotion.version] or promotion.by

        def signed(promotion: Promotion) -> Promotion:
            return (
                replace(promotion, by=claimed[promotion.version])
                if promotion.sequence >= sequence
                else promotion
            )

        return replace(record, promotions=tuple(map(signed, record.promotions)))

    def settle(self, record: Record, sequence: int, now: float) -> None:
        """Start to delete the tags of the promotions of a saved record, without waiting.

        A tag that signs a promotion from `sequence` on is deleted, as is an old tag, and a tag
        that signed an earlier promotion and is left from before the start of this process.
        """
        snapshot, key = self._registry.snapshot, _key(record)
        for promotion in record.promotions:
            tag = (promotion.version, key)
            value, since = self._first.get(tag, ("", now))
            if promotion.sequence < sequence:
                if value and since == BEFORE_START and _name(value) == promotion.by:
                    self._delete(tag, value)
            elif snapshot and (found := _value(snapshot, tag)):
                old = found == value and now - since > MOST_SECONDS
                if old or _name(found) == promotion.by:  # else it is a claim of the next promotion
                    self._delete(tag, found)

    def close(self) -> None:
        """Stop the deletions; a tag that is left is deleted after the next start."""
        self._jobs.close(0.0)

    def _claim(self, tag: Tag, snapshot: RegistrySnapshot, now: float) -> str:
        """Return the user whom a tag names; "" if there is no tag, or it is used or too old."""
        value = _value(snapshot, tag)
        with self._lock:
            if self._used.get(tag) == value:
                return ""
            text, since = self._first.get(tag, (value, now))
        if text == value and now - since > MOST_SECONDS:
            return ""
        return _name(value)

    def _delete(self, tag: Tag, value: str) -> None:
        version, key = tag
        with self._lock:
            self._used[tag] = value
        work = partial(self._delete_now, tag, value)
        self._jobs.ensure(f"{key}\n{version.key}\n{version.model}\n{value}", work)

    def _delete_now(self, tag: Tag, value: str) -> bool:
        version, key = tag
        name = {"name": version.model, "version": str(version.number)}
        rest = self._registry.rest
        with suppress(NotFound):  # the version is gone, and its tags with it
            answer = rest.get("model-versions/get", name)
            there = rows.version(answer.get("model_version"))
            if there.tags.get(key) == value:  # else the claim of the next promotion is there
                rest.delete("model-versions/delete-tag", name | {"key": key})
        self._registry.without_tag(version, key, value)
        with self._lock:
            if self._first.get(tag, ("",))[0] == value:
                del self._first[tag]
            if self._used.get(tag) == value:
                del self._used[tag]
        return True

    def _ended(self, job: str) -> None:
        done = self._jobs.peek(job)
        if done and done.phase == "done":
            self._jobs.forget(job)


def _key(record: Record) -> str:
    return f"{rows.PREFIX}{record.environment}{rows.CLAIM}"


def _value(snapshot: RegistrySnapshot, tag: Tag) -> str:
    """Return a tag's value in the snapshot; "" if there is none."""
    version, key = tag
    model = snapshot.models.get(version.model)
    row = next((each for each in model.versions if each.id == version), None) if model else None
    return row.tags.get(key, "") if row else ""


def _name(value: str) -> str:
    """Return the user whom a tag names: on one line, and not too long."""
    return "".join(filter(str.isprintable, value))[:MOST_CHARACTERS].strip()
