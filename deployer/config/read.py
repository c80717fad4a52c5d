"""Merge platform.yaml and SCHNITZEL_* variables into one unchecked mapping with origins.

A variable wins over the file, and the file over the defaults.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from deployer.config.sections import DEFAULT_ENVIRONMENTS, PlatformFile
from deployer.errors import SettingsInvalid
from deployer.schema import yaml_text
from deployer.schema.problems import explain, suggest
from stack.paths import Layout, home

PREFIX: Final = "SCHNITZEL_"

IN_CLUSTER: Final = "KUBERNETES_SERVICE_HOST"
"""The variable that Kubernetes sets in every pod."""


@dataclass(frozen=True)
class Written:
    """The values as written, the origin of each, and the file with its lines."""

    values: Mapping[str, Any]
    origins: Mapping[str, str]
    path: Path
    lines: Mapping[str, int]

    def origin(self, field: str) -> str:
        """Return the file or variable that set a dotted field, or "default"."""
        return _nearest(field, self.origins) or "default"

    def refusal(self, error: ValidationError) -> SettingsInvalid:
        """Build the error that names each mistake with its line or variable."""
        problems = explain(error, PlatformFile)
        sentences = []
        for problem in problems:
            origin = self.origin(problem.field)
            if origin.startswith(PREFIX):
                sentences.append(f"{origin}: {problem.sentence}.")
                continue
            line = _nearest(problem.field, self.lines)
            where = f"{self.path}, line {line}" if line else f"{self.path}"
            sentences.append(f"{where}: {problem.sentence}.")
        return SettingsInvalid("\n".join(sentences), problems[0].remedy)


def read(environ: Mapping[str, str]) -> Written:
    """Read the file and lay the variables over it.

    Args:
        environ: the variables with SCHNITZEL_PLATFORM and SCHNITZEL_<SECTION>__<FIELD>.

    Raises:
        SettingsInvalid: the file cannot be read, or a variable names no section.
    """
    path, document = _read_file(environ)
    values = _copy({"environments": DEFAULT_ENVIRONMENTS} | dict(document.values))
    origins = dict.fromkeys((name for name, _ in flatten(document.values)), path.name)
    for name, (field, value) in _read_variables(environ).items():
        _put(values, field, value)
        origins[".".join(field)] = name
    for name in _clusters_of_our_own_pod(values, environ):
        values["clusters"][name]["in_cluster"] = True
        origins[f"clusters.{name}.in_cluster"] = IN_CLUSTER
    return Written(values, origins, path, document.lines)


def flatten(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over the dotted fields of nested mappings, with their values."""
    for key, value in fields.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _read_file(environ: Mapping[str, str]) -> tuple[Path, yaml_text.Document]:
    named = environ.get(f"{PREFIX}PLATFORM")
    path = Path(named).expanduser().absolute() if named else Layout(home()).platform_yaml
    try:
        document = yaml_text.load(path.read_bytes())
    except FileNotFoundError:
        if not named:
            return path, yaml_text.Document({})
        raise SettingsInvalid(
            f"SCHNITZEL_PLATFORM names {path}, which does not exist.",
            "Write the file, or unset SCHNITZEL_PLATFORM to use the defaults.",
        ) from None
    except OSError as error:
        raise SettingsInvalid(
            f"{path} cannot be read: {error.strerror}.", "Make it a file that you can read."
        ) from error
    except yaml_text.YamlError as error:
        comma = "," if error.line else ""
        raise SettingsInvalid(f"{path}{comma} {error}.", "Correct the file.") from error
    # A section with all of its lines commented out is null, and means an empty section.
    written = {name: value for name, value in document.values.items() if value is not None}
    return path, replace(document, values=written)


def _read_variables(environ: Mapping[str, str]) -> dict[str, tuple[list[str], Any]]:
    found = {}
    for name in sorted(environ):
        if not name.startswith(PREFIX) or "__" not in name or not environ[name]:
            continue
        field = name.removeprefix(PREFIX).lower().split("__")
        if field[0] not in PlatformFile.model_fields or not all(field):
            raise SettingsInvalid(
                f"{name} sets no known field: there is no section {field[0]!r}.",
                suggest(field[0], list(PlatformFile.model_fields)),
            )
        try:
            found[name] = (field, _parse(environ[name]))
        except yaml_text.YamlError as error:
            raise SettingsInvalid(f"{name}: {error.message}.", "Quote it as in YAML.") from error
    return found


def _parse(text: str) -> Any:
    """Parse a list or mapping if the text begins like one, or null; else keep the text.

    pydantic turns text into numbers.
    """
    if text[0] in "[{":
        return yaml_text.load(f"value: {text}").values["value"]
    return None if text == "null" else text


def _clusters_of_our_own_pod(
    values: Mapping[str, Any], environ: Mapping[str, str]
) -> Iterator[str]:
    """Name the clusters without a way to reach them, if this process runs in a pod."""
    clusters = values.get("clusters")
    if not environ.get(IN_CLUSTER) or not isinstance(clusters, Mapping):
        return
    for name, cluster in clusters.items():
        if isinstance(cluster, Mapping) and not any(
            cluster.get(field) is not None for field in ("kubeconfig", "context", "in_cluster")
        ):
            yield name


def _nearest(field: str, table: Mapping[str, Any]) -> Any:
    """Look up a field in the table, or else the closest field around it."""
    while field:
        if field in table:
            return table[field]
        field = field.rpartition(".")[0]
    return None


def _put(values: dict[str, Any], field: list[str], value: Any) -> None:
    for part in field[:-1]:
        if not isinstance(values.get(part), dict):
            values[part] = {}
        values = values[part]
    values[field[-1]] = value


def _copy(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _copy(v) if isinstance(v, Mapping) else v for k, v in fields.items()}
