"""Render charts to manifests, as dicts.

The only module that knows Helm. Helm's own Go code renders the charts in process; the package
helm-python-sdk carries it as a shared library (Helm 4, Apache-2.0), and the manifests are those of
`helm template`, to the byte. That takes 3 ms of one core, where a `helm` process takes 60; measured
with 1,000 predictors. The first rendering loads the library, which costs 70 MB and six threads.

A rendering is a pure function of chart, release, namespace and values: our charts call none of
Helm's functions that read the cluster, the clock or random numbers. So `Charts` caches renderings,
and predictors that differ in values that a chart only writes down share one (`placeholders`).
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Final

import orjson
import yaml

from deployer.errors import SchnitzelError
from deployer.targets.kubernetes.render.placeholders import blank, count, fill, paths_of

Manifest = dict[str, Any]

KEPT: Final = 1024
"""Renderings kept, of about 7 KB each."""

ORDER: Final = (
    "NetworkPolicy", "PodDisruptionBudget", "ServiceAccount", "ConfigMap", "PersistentVolumeClaim",
    "CustomResourceDefinition", "Role", "RoleBinding", "Service", "Deployment",
    "HorizontalPodAutoscaler", "HTTPRoute", "PodMonitor", "ServiceMonitor",
)  # fmt: skip
"""Kinds in the order in which a kind may need another: Helm's InstallOrder, as far as used."""

_SCHEMA: Final = "values.schema.json"
_UNUSED: Final = (_SCHEMA, "templates/NOTES.txt", "README.md")
_NEXT_DOCUMENT: Final = re.compile(r"(?:^|\s*\n)---\s*")  # as helm.sh/helm/v4/pkg/release/v1/util
_WHERE: Final = re.compile(r"^(execution error at \([^)]*\): |data[. ])")
"""The place of a template's `fail`, and the name that fastjsonschema gives the whole values."""


class RenderError(SchnitzelError):
    """A chart refuses its values, cannot be rendered, or is not there."""


class _Chart:
    """One chart, loaded; safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        import fastjsonschema  # noqa: PLC0415 - like the next, only for who renders
        import helm_python  # noqa: PLC0415 - 70 MB

        self.name = folder.name
        self._library = helm_python
        self._refused = (helm_python.HelmError, fastjsonschema.JsonSchemaException)
        try:
            self._chart = helm_python.Chart.load_archive(_archive(folder))
            schema = json.loads((folder / _SCHEMA).read_bytes())
            about = yaml.safe_load((folder / "Chart.yaml").read_bytes())
        except (helm_python.HelmError, OSError, ValueError) as error:
            raise RenderError(
                f"The chart {self.name} cannot be loaded: {error}.",
                f"Correct the chart in {folder.parent}.",
            ) from error
        # Helm compiles the schema for each rendering (3.5 ms), fastjsonschema once (then 0.02 ms).
        self._validate: Callable[[Any], object] = fastjsonschema.compile(schema)
        self.written_as_is = paths_of(about.get("annotations") or {})

    def merge(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Put values over the chart's own, as Helm does."""
        merged: dict[str, Any] = self._chart.merge_values(inputs["Values"])
        return merged

    def check(self, merged: dict[str, Any]) -> None:
        """Refuse values that the chart's schema does not allow."""
        with self._refusals():
            self._validate(merged)

    def render(self, inputs: dict[str, Any]) -> list[Manifest]:
        """Render the manifests, in the order to apply them in."""
        release = inputs["Release"]
        with self._refusals():
            files = self._chart.render(
                inputs["Values"], name=release["Name"], namespace=release["Namespace"]
            )
            manifests = [
                self._library.values_from_yaml(document)
                for name in sorted(files)
                for document in _NEXT_DOCUMENT.split(files[name])
                if document.strip()
            ]
        return sorted(manifests, key=_order)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except self._refused as error:
            sentence = _WHERE.sub("", str(error)).strip().rstrip(".")
            raise RenderError(
                f"The chart {self.name} refuses its values: {sentence}.",
                f"Its README.md says what each value may be (helm/{self.name}).",
            ) from error


class Charts:
    """The charts in a folder, each loaded when it is first rendered. Safe for threads.

    Args:
        folder: The parent of the charts' folders; by default, of those that come with the Deployer.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or _own()
        self._loaded: dict[str, _Chart] = {}
        self._versions: dict[str, str] = {}
        self._lock = Lock()
        self._merged = lru_cache(maxsize=KEPT)(self._merge)
        self._rendered = lru_cache(maxsize=KEPT)(self._render)

    def version(self, chart: str) -> str:
        """Read the chart's own version, such as "0.1.0".

        Raises:
            RenderError: There is no such chart.
        """
        if chart not in self._versions:  # read without Helm: a comparison loads no library
            about = yaml.safe_load((self._place(chart) / "Chart.yaml").read_bytes())
            self._versions[chart] = str(about["version"])
        return self._versions[chart]

    def content(self, chart: str) -> str:
        """Hash the files that a rendering uses: 64 hex digits; raises as `version` does."""
        place = self._place(chart)
        found = {
            path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in place.rglob("*")
            if path.is_file()
        }
        kept = {name: found[name] for name in found if name not in _UNUSED}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()

    def render(
        self, chart: str, release: str, namespace: str, values: Mapping[str, Any]
    ) -> list[Manifest]:
        """Render a chart as `helm template RELEASE CHART -n NAMESPACE -f VALUES` does.

        Args:
            chart: The name of the chart's folder, such as "model-server".
            release: The release's name, which charts use where values name nothing.
            namespace: The namespace of the objects.
            values: The values, JSON-ready; a missing value, or None, is as in values.yaml.

        Returns:
            The manifests in the order to apply them in; the caller may change them.

        Raises:
            RenderError: The chart refuses the values, in its own sentence.
        """
        loaded = self._chart(chart)
        inputs = {"Release": {"Name": release, "Namespace": namespace}, "Values": values}
        blanked, found = blank(inputs, loaded.written_as_is)
        text = _dumps(blanked)
        if count(text.encode()) != len(found):  # a value looks like a placeholder
            text, found = _dumps(inputs), []
        loaded.check(orjson.loads(fill(self._merged(chart, text), found)))
        try:
            rendered = fill(self._rendered(chart, text), found)
        except RenderError:
            if not found:
                raise
            rendered = self._rendered(chart, _dumps(inputs))  # it refuses in its own words
        manifests: list[Manifest] = orjson.loads(rendered)
        return manifests

    def _merge(self, chart: str, inputs: str) -> bytes:
        return orjson.dumps(self._chart(chart).merge(orjson.loads(inputs)))

    def _render(self, chart: str, inputs: str) -> bytes:
        return orjson.dumps(self._chart(chart).render(orjson.loads(inputs)))

    def _chart(self, name: str) -> _Chart:
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = _Chart(self._place(name))
            return self._loaded[name]

    def _place(self, name: str) -> Path:
        place = self._folder / name
        if not (place / "Chart.yaml").is_file():
            raise RenderError(
                f"There is no chart {name} in {self._folder}.",
                "Install Schnitzel anew: the charts come with it.",
            )
        return place


def _own() -> Path:
    """Return the folder of the charts: that of a checkout, or else of an installation."""
    checkout = Path(__file__).parents[4] / "helm"
    return checkout if checkout.is_dir() else Path(sys.prefix) / "share" / "schnitzel" / "helm"


def _archive(folder: Path) -> bytes:
    """Pack a chart as Helm does, without the files that a rendering does not need."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and name not in _UNUSED:
                archive.add(path, f"{folder.name}/{name}")
    return packed.getvalue()


def _dumps(inputs: Mapping[str, Any]) -> str:
    return json.dumps(inputs, sort_keys=True, allow_nan=False)


def _order(manifest: Manifest) -> tuple[int, str, str]:
    kind = manifest.get("kind", "")
    place = ORDER.index(kind) if kind in ORDER else len(ORDER)
    return place, kind, manifest.get("metadata", {}).get("name", "")
