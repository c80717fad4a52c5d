"""In: MLflow's registry over REST. Out: one shared RegistrySnapshot, as fresh as can be.

A complete listing is the truth; between listings a poll reads the versions updated last (by the
server's own timestamps, with an overlap), and a hint reads one model. Whatever fails or looks odd
leaves the snapshot as it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from deployer.errors import NotFound, RegistryMalformed
from deployer.rest import Rest
from deployer.state import Description
from deployer.versions import ModelVersion, RegisteredModel, RegistrySnapshot, VersionId

OVERLAP_MS = 10_000
PAGE = 1000
POLL_ROWS = 20

Versions = dict[tuple[str, int], ModelVersion]
Aliases = dict[str, Mapping[str, int]]


class Backwards(Exception):  # noqa: N818 - evidence, not an error of ours
    """A version's own timestamp is older than before: this is a restored backup."""


class Registry:
    """The registry as last seen.

    Args:
        rest: MLflow's REST API.
        trusted: Called before new facts are adopted; raises if this is not the registry it was.
    """

    def __init__(self, rest: Rest, trusted: Callable[[], None]) -> None:
        self.rest = rest
        self._trusted = trusted
        self._lock = threading.RLock()
        self._versions: Versions = {}
        self._aliases: Aliases = {}
        self._watermark = 0
        self._snapshot: RegistrySnapshot | None = None

    @property
    def snapshot(self) -> RegistrySnapshot | None:
        """What was seen last; None before the first complete listing."""
        return self._snapshot

    def list_all(self, now: float) -> set[str]:
        """Read everything. Returns the names of the models that changed.

        Raises:
            RegistryUnreachable, RegistryMalformed: Nothing is adopted.
            Backwards, RegistryFrozen: It is not the registry that it was; nothing is adopted.
        """
        with self._lock:
            aliases: Aliases = {}
            versions: Versions = {}
            rows: list[dict[str, Any]] = []
            for row in self.rest.pages(
                "registered-models/search", "registered_models", {"max_results": PAGE}
            ):
                aliases[_text(row, "name")] = _aliases(row)
                rows.extend(row.get("latest_versions", []))
            rows.extend(
                self.rest.pages("model-versions/search", "model_versions", {"max_results": PAGE})
            )
            for row in rows:
                version = _version(row)
                versions[version.id.model, version.id.number] = version
            self._complete(aliases, versions)
            self._check_time(versions.values())
            self._trusted()
            return self._adopt(versions, aliases, now)

    def poll(self) -> set[str]:
        """Read the versions updated last. Returns the names of the models that changed.

        Of a model that the last listing did not show, the aliases are read, too: that a version
        has none is else taken for a fact.
        """
        with self._lock:
            if self._snapshot is None:
                return set()
            fresh: Versions = {}
            pages = self.rest.pages(
                "model-versions/search",
                "model_versions",
                {"max_results": POLL_ROWS, "order_by": "last_updated_timestamp DESC"},
            )
            for row in pages:
                version = _version(row)
                if version.updated < self._watermark - OVERLAP_MS:
                    break
                fresh[version.id.model, version.id.number] = version
            aliases = self._aliases
            for model in sorted({model for model, _ in fresh} - aliases.keys()):
                named, versions = self._model(model)
                aliases, fresh = {**aliases, **named}, {**fresh, **versions}
            self._check_time(fresh.values())
            return self._merge(fresh, aliases)

    def look(self, model: str) -> set[str]:
        """Read one model, its aliases and the versions they name, on a hint."""
        with self._lock:
            if self._snapshot is None:
                return set()
            aliases, fresh = self._model(model)
            self._check_time(fresh.values())
            return self._merge(fresh, {**self._aliases, **aliases})

    def forget(self) -> None:
        """Start anew, after a person accepted another registry."""
        with self._lock:
            self._versions, self._aliases, self._watermark = {}, {}, 0
            self._snapshot = None

    def describe(
        self, version: ModelVersion, read_file: Callable[[str], Mapping[str, Any] | None]
    ) -> Description:
        """Where a version's files are and what its serving.yaml says; neither ever changes."""
        name = {"name": version.id.model, "version": str(version.id.number)}
        answer = self.rest.get("model-versions/get-download-uri", name, ("artifact_uri",))
        source = _text(answer, "artifact_uri")
        return Description(source=source, serving_file=read_file(source))

    def _model(self, model: str) -> tuple[Aliases, Versions]:
        """One model's aliases, and the versions that they or its stages name; nothing if gone."""
        try:
            answer = self.rest.get("registered-models/get", {"name": model})
        except NotFound:
            return {}, {}  # only a listing takes things away
        row = answer.get("registered_model")
        if not isinstance(row, dict) or _text(row, "name") != model:
            raise RegistryMalformed("MLflow answered with another model than asked for.")
        aliases: Aliases = {model: _aliases(row)}
        versions = {
            (v.id.model, v.id.number): v for v in map(_version, row.get("latest_versions", []))
        }
        self._complete(aliases, versions)
        return aliases, versions

    def _complete(self, aliases: Aliases, versions: Versions) -> None:
        """Read the versions that an alias names and the answer lacks."""
        for model, named in aliases.items():
            for number in set(named.values()):
                if (model, number) in versions:
                    continue
                try:
                    answer = self.rest.get(
                        "model-versions/get", {"name": model, "version": str(number)}
                    )
                except NotFound:
                    continue
                versions[model, number] = _version(answer.get("model_version", {}))

    def _check_time(self, versions: Iterable[ModelVersion]) -> None:
        for version in versions:
            before = self._versions.get((version.id.model, version.id.number))
            if before and before.id == version.id and version.updated < before.updated:
                raise Backwards(
                    f"{version.id.model} version {version.id.number} was last updated earlier than "
                    "it was before"
                )

    def _merge(self, fresh: Versions, aliases: Aliases) -> set[str]:
        old = self._versions
        new = {k: v for k, v in fresh.items() if k not in old or not _same(old[k], v)}
        if not new and aliases == self._aliases:
            return set()
        self._trusted()
        listed_at = self._snapshot.listed_at if self._snapshot else 0.0
        return self._adopt({**old, **new}, aliases, listed_at)

    def _adopt(self, versions: Versions, aliases: Aliases, listed_at: float) -> set[str]:
        before = self._snapshot.models if self._snapshot else {}
        grouped: dict[str, list[ModelVersion]] = {name: [] for name in aliases}
        for (model, number), version in sorted(versions.items()):
            named = {a for a, n in aliases.get(model, {}).items() if n == number}
            grouped.setdefault(model, []).append(_named(version, named))
        models = {name: RegisteredModel(name, tuple(rows)) for name, rows in grouped.items()}
        self._versions, self._aliases = versions, dict(aliases)
        newest = max((v.updated for v in versions.values()), default=0)
        self._watermark = max(self._watermark, newest)
        self._snapshot = RegistrySnapshot(models, listed_at)
        return {n for n in {*before, *models} if before.get(n) != models.get(n)}


def _same(a: ModelVersion, b: ModelVersion) -> bool:
    return (a.id, a.stage, a.updated, a.status, a.source) == (
        b.id, b.stage, b.updated, b.status, b.source,
    )  # fmt: skip


def _named(version: ModelVersion, aliases: Iterable[str]) -> ModelVersion:
    return ModelVersion(
        version.id, version.stage, frozenset(aliases), version.source, version.run_id,
        version.updated, version.status, version.tags,
    )  # fmt: skip


def _aliases(row: Mapping[str, Any]) -> dict[str, int]:
    listed = row.get("aliases", [])
    if not isinstance(listed, list):
        raise RegistryMalformed("MLflow listed the aliases of a model as something else.")
    return {_text(item, "alias"): _number(item, "version") for item in listed}


def _version(row: Any) -> ModelVersion:
    if not isinstance(row, dict):
        raise RegistryMalformed("MLflow listed a model version that is not an object.")
    source = str(row.get("source") or "")
    model_id = str(row.get("model_id") or source.removeprefix("models:/"))
    created = _number(row, "creation_timestamp")
    return ModelVersion(
        id=VersionId(_text(row, "name"), _number(row, "version"), created, model_id),
        stage=str(row.get("current_stage") or "None"),
        aliases=frozenset(),
        source=source,
        run_id=str(row.get("run_id") or ""),
        updated=_number(row, "last_updated_timestamp") if "last_updated_timestamp" in row else 0,
        status=str(row.get("status") or "READY"),
        tags=_tags(row),
    )


def _tags(row: Mapping[str, Any]) -> dict[str, str]:
    """The tags that are about us; others may be many, and are nobody's business here."""
    tags = row.get("tags", [])
    if not isinstance(tags, list):
        raise RegistryMalformed("MLflow listed the tags of a version as something else.")
    named = {_text(tag, "key"): str(tag.get("value") or "") for tag in tags}
    return {key: value for key, value in named.items() if key.startswith("schnitzel.")}


def _text(row: Any, key: str) -> str:
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, str) or not value:
        raise RegistryMalformed(f"MLflow answered without a {key!r}.")
    return value


def _number(row: Any, key: str) -> int:
    value = row.get(key) if isinstance(row, dict) else None
    try:
        return int(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise RegistryMalformed(f"MLflow answered with {value!r} as {key!r}.") from error
