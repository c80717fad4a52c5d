"""Attribute new promotions to the users who claim them.

MLflow does not record who moved a stage or an alias. `schnitzel model promote` names its user in a
tag that it sets on the version just before. Every user who may promote may also set that tag, so
the tag is a claim and no proof, and is shown as a claim. One tag stands for one promotion: reading
the tag deletes it, and an older tag is ignored. MLflow keeps no time of a tag, so the age of a tag
is counted from the first listing that showed it, by the Deployer's clock.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from deployer.errors import SchnitzelError
from deployer.registry.client import RegistryClient
from deployer.state.record import Promotion, Record
from deployer.state.registry import RegistrySnapshot, VersionId

MOST_SECONDS = 60.0
MOST_CHARACTERS = 64
PREFIX, SUFFIX = "schnitzel.", ".promoted_by"

Tag = tuple[VersionId, str]  # a version, and the tag's key


class Promoters:
    """A reader of the tags that sign promotions; it reads each tag once.

    Args:
        rest: MLflow's REST API.
    """

    def __init__(self, rest: RegistryClient) -> None:
        self._rest = rest
        self._first: dict[Tag, tuple[str, float]] = {}
        self._listed_at: float | None = None
        self._lock = threading.Lock()

    def note(self, snapshot: RegistrySnapshot | None, now: float) -> None:
        """Note when each tag first appeared; the tags of the first listing count as old."""
        with self._lock:
            if snapshot is None or snapshot.listed_at == self._listed_at:
                return
            since = float("-inf") if self._listed_at is None else now
            self._listed_at = snapshot.listed_at
            found: dict[Tag, tuple[str, float]] = {}
            for model in snapshot.models.values():
                for version in model.versions:
                    for key, value in version.tags.items():
                        if key.startswith(PREFIX) and key.endswith(SUFFIX):
                            before = self._first.get((version.id, key), ("", 0.0))
                            known = before if before[0] == value else (value, since)
                            found[version.id, key] = known
            self._first = found

    def sign(self, record: Record, sequence: int, now: float) -> Record:
        """Set `by` of the promotions from `sequence` on to the users who claim them."""
        fresh = {
            promotion.version for promotion in record.promotions if promotion.sequence >= sequence
        }
        claimed = {version: self._take_tag(version, record.environment, now) for version in fresh}
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

    def _take_tag(self, version: VersionId, environment: str, now: float) -> str:
        """Read the tag and delete it; returns "" if there is no tag or the tag is too old."""
        name = {"name": version.model, "version": str(version.number)}
        key = f"{PREFIX}{environment}{SUFFIX}"
        try:
            found = self._rest.get("model-versions/get", name).get("model_version", {})
            tags = {tag.get("key"): tag.get("value") for tag in found.get("tags", [])}
            if not isinstance(value := tags.get(key), str):
                return ""
            self._rest.delete("model-versions/delete-tag", name | {"key": key})
        except (SchnitzelError, AttributeError, TypeError):
            return ""  # no name is better than the wrong name
        with self._lock:
            text, since = self._first.pop((version, key), (value, now))
        if text == value and now - since > MOST_SECONDS:
            return ""
        return "".join(filter(str.isprintable, value))[:MOST_CHARACTERS].strip()
