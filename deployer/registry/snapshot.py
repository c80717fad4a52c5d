"""Keep one shared snapshot of MLflow's registry fresh over REST.

A complete listing is the truth of the versions that it shows. A version that a listing lacks and a
deployment depends on is requested by name. Between listings a poll reads the versions updated last
(by the server's own timestamps, with an overlap), and a hint reads one model. A failed or malformed
answer leaves the snapshot unchanged.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from typing import Any

from deployer.errors import NotFound, RegistryMalformed, SchnitzelError
from deployer.registry import rows
from deployer.registry.client import RegistryClient
from deployer.state.record import Description
from deployer.state.registry import (
    ModelVersion,
    RegisteredModel,
    RegistrySnapshot,
    VersionId,
)

log = logging.getLogger(__name__)

OVERLAP_MS = 10_000
MOST_ASKED = 200
"""The most models requested by name along with one listing; others wait for the next listing."""
MOST_FAILED = 3
"""The number of models that cannot be read after which requests by name stop."""
PAGE = 1000
POLL_ROWS = 20

Versions = dict[tuple[str, int], ModelVersion]
Aliases = dict[str, Mapping[str, int]]
Doubts = Callable[[RegistrySnapshot], Mapping[str, set[int]]]


class RegistryRolledBack(Exception):  # noqa: N818 - evidence, not an error of Schnitzel
    """A version's own timestamp went back: the registry is a restored backup."""


class Registry:
    """The registry as last read.

    Args:
        rest: MLflow's REST API.
        trusted: Called before new facts are adopted; raises if this is another registry.
        doubts: Returns the models of which a listing is no evidence, and the versions that the
            listing lacks.
    """

    def __init__(
        self, rest: RegistryClient, trusted: Callable[[], None], doubts: Doubts = lambda _: {}
    ) -> None:
        self.rest = rest
        self._trusted = trusted
        self._doubts = doubts
        self._lock = threading.RLock()
        self._versions: Versions = {}
        self._aliases: Aliases = {}
        self._watermark = 0
        self._snapshot: RegistrySnapshot | None = None

    @property
    def snapshot(self) -> RegistrySnapshot | None:
        """The snapshot read last; None before the first complete listing."""
        return self._snapshot

    def list_all(self, now: float) -> set[str]:
        """List the whole registry; returns the names of the models that changed.

        Raises:
            RegistryUnreachable, RegistryMalformed: Nothing is adopted.
            RegistryRolledBack, RegistryFrozen: This is another registry or an older state of it;
                nothing is adopted.
        """
        with self._lock:
            # The next poll finds the changes made from here on, while this listing reads its pages.
            newest = next((rows.version(row).updated for row in self._newest_first(1)), 0)
            aliases: Aliases = {}
            versions: Versions = {}
            listed: list[dict[str, Any]] = []
            for row in self.rest.pages(
                "registered-models/search", "registered_models", {"max_results": PAGE}
            ):
                aliases[rows.text(row, "name")] = rows.aliases(row)
                listed.extend(row.get("latest_versions", []))
            # By name: in the order of updates, a version updated during the listing would move
            # from a page still to be read to a page already read.
            by_name = {"max_results": PAGE, "order_by": "name ASC"}
            listed.extend(self.rest.pages("model-versions/search", "model_versions", by_name))
            for row in listed:
                version = rows.version(row)
                if version.id.model in aliases:  # else its aliases are unknown
                    versions[version.id.model, version.id.number] = version
            self._add_aliased_versions(aliases, versions)
            asked = self._confirm_by_name(aliases, versions, now)
            self._check_time(versions.values())
            self._trusted()
            changed = self._adopt(versions, aliases, RegistrySnapshot({}, now, asked))
            self._watermark = max(self._watermark, newest)
            return changed

    def poll(self) -> set[str]:
        """Read the versions updated last; returns the names of the models that changed.

        The poll also reads the aliases of a model that the last listing did not show; without
        them its versions would count as versions that have no alias.
        """
        with self._lock:
            if self._snapshot is None:
                return set()
            fresh: Versions = {}
            newest = self._watermark
            for row in self._newest_first(POLL_ROWS):
                version = rows.version(row)
                newest = max(newest, version.updated)
                if version.updated < self._watermark - OVERLAP_MS:
                    break
                fresh[version.id.model, version.id.number] = version
            aliases = self._aliases
            for model in sorted({model for model, _ in fresh} - aliases.keys()):
                named, versions = self._model(model)
                aliases, fresh = {**aliases, **named}, {**fresh, **versions}
            self._check_time(fresh.values())
            changed = self._merge(fresh, aliases)
            self._watermark = newest
            return changed

    def refresh(self, model: str) -> set[str]:
        """Read one model, its aliases and the versions that they name, on a hint."""
        with self._lock:
            if self._snapshot is None:
                return set()
            aliases, fresh = self._model(model)
            self._check_time(fresh.values())
            return self._merge(fresh, {**self._aliases, **aliases})

    def forget(self) -> None:
        """Discard the snapshot after an operator accepted another registry."""
        with self._lock:
            self._versions, self._aliases, self._watermark = {}, {}, 0
            self._snapshot = None

    def without_tag(self, version: VersionId, key: str, value: str) -> None:
        """Drop a tag that was deleted from the registry; waits for the read under way.

        A row that was read before the deletion would show the tag on until it is read again.
        """
        with self._lock:
            row = self._versions.get((version.model, version.number))
            if self._snapshot is None or row is None or row.id != version:
                return
            if row.tags.get(key) != value:
                return
            tags = {name: text for name, text in row.tags.items() if name != key}
            self._versions[version.model, version.number] = replace(row, tags=tags)
            model = self._snapshot.models[version.model]
            versions = (replace(v, tags=tags) if v.id == version else v for v in model.versions)
            models = {**self._snapshot.models, model.name: replace(model, versions=(*versions,))}
            self._snapshot = replace(self._snapshot, models=models)

    def describe(
        self, version: ModelVersion, read_file: Callable[[str], Mapping[str, Any] | None]
    ) -> Description:
        """Read the artifact location and serving.yaml of a version; neither ever changes."""
        name = {"name": version.id.model, "version": str(version.id.number)}
        answer = self.rest.get("model-versions/get-download-uri", name, ("artifact_uri",))
        source = rows.text(answer, "artifact_uri")
        return Description(source=source, serving_file=read_file(source))

    def _newest_first(self, rows_a_page: int) -> Iterator[dict[str, Any]]:
        """Iterate over versions, last updated first; pages are requested as they are needed."""
        query = {"max_results": rows_a_page, "order_by": "last_updated_timestamp DESC"}
        return self.rest.pages("model-versions/search", "model_versions", query)

    def _model(self, model: str) -> tuple[Aliases, Versions]:
        """Read a model's aliases and the versions that they or its stages name.

        Both are empty if the model is gone.
        """
        try:
            answer = self.rest.get("registered-models/get", {"name": model})
        except NotFound:
            return {}, {}  # only a listing removes models and versions
        row = answer.get("registered_model")
        if not isinstance(row, dict) or rows.text(row, "name") != model:
            raise RegistryMalformed("MLflow answered with another model than asked for.")
        aliases: Aliases = {model: rows.aliases(row)}
        versions = {
            (v.id.model, v.id.number): v for v in map(rows.version, row.get("latest_versions", []))
        }
        self._add_aliased_versions(aliases, versions)
        return aliases, versions

    def _confirm_by_name(self, aliases: Aliases, versions: Versions, now: float) -> frozenset[str]:
        """Request by name the models that a listing leaves in doubt; returns the models answered.

        Versions that the listing lacked and the registry holds are added.
        """
        doubts = self._doubts(RegistrySnapshot(_models(versions, aliases), now))
        asked, lacked, failed = set(), 0, 0
        for model, numbers in islice(sorted(doubts.items()), MOST_ASKED):
            try:
                named, own = self._model(model)
                for number in numbers:
                    self._version(model, number, own)
            except SchnitzelError as error:  # this model stays in doubt
                log.warning("%s: asked for by name: %s", model, error.message)
                failed += 1
                if failed >= MOST_FAILED:
                    break
                continue
            lacked += len(own.keys() - versions.keys())
            if named:
                aliases |= named
                versions |= own
            asked.add(model)
        if lacked:
            log.warning("MLflow's listing lacks %d versions that it holds", lacked)
        return frozenset(asked)

    def _add_aliased_versions(self, aliases: Aliases, versions: Versions) -> None:
        """Read the versions that an alias names and the answer lacks."""
        for model, named in aliases.items():
            for number in set(named.values()):
                self._version(model, number, versions)

    def _version(self, model: str, number: int, versions: Versions) -> None:
        """Read a version by number, unless `versions` has it or the registry does not."""
        if (model, number) in versions:
            return
        with suppress(NotFound):
            answer = self.rest.get("model-versions/get", {"name": model, "version": str(number)})
            versions[model, number] = rows.version(answer.get("model_version", {}))

    def _check_time(self, versions: Iterable[ModelVersion]) -> None:
        for version in versions:
            before = self._versions.get((version.id.model, version.id.number))
            if before and before.id == version.id and version.updated < before.updated:
                raise RegistryRolledBack(
                    f"{version.id.model} version {version.id.number} was last updated earlier than "
                    "it was before"
                )

    def _merge(self, fresh: Versions, aliases: Aliases) -> set[str]:
        old = self._versions
        new = {k: v for k, v in fresh.items() if k not in old or not _same(old[k], v)}
        if not new and aliases == self._aliases:
            return set()
        self._trusted()
        return self._adopt({**old, **new}, aliases, self._snapshot or RegistrySnapshot({}, 0.0))

    def _adopt(self, versions: Versions, aliases: Aliases, listing: RegistrySnapshot) -> set[str]:
        """Replace the snapshot, as of a listing; returns the names of the models that changed."""
        before = self._snapshot.models if self._snapshot else {}
        models = _models(versions, aliases)
        self._versions, self._aliases = versions, dict(aliases)
        self._snapshot = replace(listing, models=models)
        return {n for n in {*before, *models} if before.get(n) != models.get(n)}


def _models(versions: Versions, aliases: Aliases) -> dict[str, RegisteredModel]:
    grouped: dict[str, list[ModelVersion]] = {name: [] for name in aliases}
    for (model, number), version in sorted(versions.items()):
        named = {a for a, n in aliases.get(model, {}).items() if n == number}
        grouped.setdefault(model, []).append(_named(version, named))
    return {name: RegisteredModel(name, tuple(own)) for name, own in grouped.items()}


def _same(a: ModelVersion, b: ModelVersion) -> bool:
    return (a.id, a.stage, a.updated, a.status, a.source, rows.claims(a.tags)) == (
        b.id, b.stage, b.updated, b.status, b.source, rows.claims(b.tags),
    )  # fmt: skip


def _named(version: ModelVersion, aliases: Iterable[str]) -> ModelVersion:
    return ModelVersion(
        version.id, version.stage, frozenset(aliases), version.source, version.run_id,
        version.updated, version.status, version.tags,
    )  # fmt: skip
