"""MLflow's searches in memory; tests/servers/deployer/registry/test_pages.py holds them true."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.errors import NotFound
from deployer.registry.client import RegistryClient
from deployer.registry.snapshot import Registry

START = 1_000_000
"""The first iso_time, in milliseconds."""


def stages(registry: Registry) -> dict[tuple[str, int], str]:
    """Tell the stage of each version that a registry shows."""
    assert registry.snapshot
    models = registry.snapshot.models
    return {(v.id.model, v.id.number): v.stage for m in models.values() for v in m.versions}


@dataclass
class Row:
    """A version as MLflow's table has it."""

    name: str
    number: int
    updated: int
    stage: str = "None"

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "version": str(self.number),
            "creation_timestamp": 100 + self.number,
            "last_updated_timestamp": self.updated,
            "current_stage": self.stage,
            "source": f"models:/m-{self.name}-{self.number}",
            "run_id": "run",
        }


class SimulatedMlflow(RegistryClient):
    """MLflow's searches as 3.17.2 does them: sorted, ties by name and version, pages by offset."""

    def __init__(self) -> None:
        """Connect to nothing."""
        self.now = START
        self.rows: dict[tuple[str, int], Row] = {}
        self.aliases: dict[str, dict[str, int]] = {}
        self.tags: dict[tuple[str, int], dict[str, str]] = {}
        self.pages_read = 0
        self.between: Callable[[], object] = lambda: None

    def commit(self, name: str, number: int, stage: str = "None", late: int = 0) -> None:
        """Write a version; `late`: so many milliseconds after it took its timestamp."""
        self.rows[name, number] = Row(name, number, self.now - late, stage)

    def get(
        self, path: str, params: Mapping[str, Any] | None = None, _: Collection[str] = ()
    ) -> dict[str, Any]:
        query = dict(params or {})
        if path == "registered-models/get":
            return {"registered_model": self._model(query["name"])}
        if path == "model-versions/get":
            return {"model_version": self._json(self._row(query["name"], int(query["version"])))}
        self.pages_read += 1
        items, found = "registered_models", [self._model(n) for n in sorted(self._names())]
        if path == "model-versions/search":
            by_time = query.get("order_by", "last_updated").startswith("last_updated")
            ordered = sorted(
                self.rows.values(),
                key=lambda row: (-row.updated if by_time else 0, row.name, -row.number),
            )
            items, found = "model_versions", [self._json(row) for row in ordered]
        offset, size = int(query.get("page_token", 0)), int(query["max_results"])
        answer: dict[str, Any] = {items: found[offset : offset + size]}
        if len(found) > offset + size:
            answer["next_page_token"] = str(offset + size)
        self.between()
        return answer

    def delete(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        assert path == "model-versions/delete-tag"
        self._row(body["name"], int(body["version"]))
        if self.tags.get((body["name"], int(body["version"])), {}).pop(body["key"], None) is None:
            raise NotFound("MLflow knows no such tag.")
        return {}

    def _json(self, row: Row) -> dict[str, Any]:
        tags = self.tags.get((row.name, row.number), {})
        listed = [{"key": key, "value": value} for key, value in tags.items()]
        return row.json() | ({"tags": listed} if listed else {})

    def _names(self) -> set[str]:
        return {name for name, _ in self.rows}

    def _row(self, name: str, number: int) -> Row:
        if (name, number) not in self.rows:
            raise NotFound("MLflow knows no such version.")
        return self.rows[name, number]

    def _model(self, name: str) -> dict[str, Any]:
        own = [row for row in self.rows.values() if row.name == name]
        if not own:
            raise NotFound("MLflow knows no such model.")
        latest = {row.stage: row for row in sorted(own, key=lambda row: row.number)}
        named = [{"alias": a, "version": str(v)} for a, v in self.aliases.get(name, {}).items()]
        return {
            "name": name,
            "aliases": named,
            "latest_versions": [self._json(row) for row in latest.values()],
        }
