"""In: platform.yaml and SCHNITZEL_* variables; out: Settings, read once, each with its origin.

A variable wins over the file, and the file over the defaults. SCHNITZEL_<SECTION>__<FIELD> sets one
field: SCHNITZEL_MLFLOW__PORT=5001, SCHNITZEL_ENVIRONMENTS__PROD__ALIAS=live.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from deployer import state, yamltext
from deployer.errors import SchnitzelError, SettingsInvalid, SpecInvalid
from deployer.platformid import platform_id
from deployer.problems import explain, suggest
from deployer.sections import DEFAULT_ENVIRONMENTS, PlatformFile
from deployer.spec import resolve
from stack.paths import Layout, cache, home

PREFIX: Final = "SCHNITZEL_"


class Settings(PlatformFile):
    """platform.yaml with the variables applied, and where this platform lives."""

    home: Path
    """The platform's state."""

    cache: Path
    """What can be fetched or built again."""

    platform_id: str
    """Names this platform on everything that it makes; made once."""

    origins: dict[str, str]
    """Dotted field -> "default", the file's name, or the variable's."""

    def layers(self, environment: str) -> list[tuple[str, Mapping[str, Any]]]:
        """The serving spec's layers that an operator wrote: the defaults, then the overlay."""
        overlay = self.environments[environment].overlay
        return [
            ("platform.yaml: defaults", self.defaults.model_dump(exclude_unset=True)),
            (f"environment {environment}", overlay.model_dump(exclude_unset=True)),
        ]

    def selector(self, environment: str) -> state.Selector:
        """What promotes to an environment."""
        chosen = self.environments[environment]
        return state.Selector(stage=chosen.stage, alias=chosen.alias)

    def rollout_policy(self, environment: str) -> state.Policy:
        """An environment's rules for its deployments."""
        waiting = self.environments[environment].policy
        return state.Policy(
            retire_after=waiting.retire_after,
            retire_listings=waiting.retire_listings,
            max_retirements=self.policy.max_retirements,
            max_retirement_share=self.policy.max_retirement_share,
            retry_first=self.policy.retry_first,
            retry_most=self.policy.retry_most,
        )


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings of the platform in SCHNITZEL_HOME.

    Args:
        environ: where SCHNITZEL_PLATFORM and SCHNITZEL_<SECTION>__<FIELD> are looked up; by
            default the process's own variables.

    Raises:
        SettingsInvalid: names the file and line, or the variable; the field; and the remedy.
    """
    environ = os.environ if environ is None else environ
    path, document = _read_file(environ)
    variables = _read_variables(environ)
    values = _copy({"environments": DEFAULT_ENVIRONMENTS} | dict(document.values))
    origins = dict.fromkeys(_leaves(document.values), path.name)
    for name, (field, value) in variables.items():
        _put(values, field, value)
        origins[".".join(field)] = name
    try:
        checked = PlatformFile.model_validate(values)
    except ValidationError as error:
        raise _refusal(error, path, document, origins) from error
    dumped = checked.model_dump(mode="json")
    every = {name: _origin(name, origins) for name in _leaves(dumped)}
    settings = Settings.model_construct(
        **dict(checked),
        home=home(),
        cache=cache(),
        platform_id=platform_id(Layout(home()).platform_id),
        origins=every,
    )
    for name in settings.environments:
        try:
            resolve(settings.layers(name), settings.limits)
        except SpecInvalid as error:
            raise SettingsInvalid(f"{path}: {error.message}", error.hint) from error
    return settings


def main_settings(as_json: bool) -> int:
    """Print the settings for a person, or as one JSON object; exit status 2 if they are invalid."""
    try:
        settings = load()
    except SchnitzelError as error:
        hint = f"\n\nhint: {error.hint}" if error.hint else ""
        sys.stderr.write(f"error: {error.message}{hint}\n")
        return 2
    dumped = settings.model_dump(mode="json")
    if as_json:
        sys.stdout.write(json.dumps(dumped, indent=2) + "\n")
        return 0
    for name, origin in settings.origins.items():
        value: Any = dumped
        for part in name.split("."):
            value = value[part]
        sys.stdout.write(f"{name} = {json.dumps(value)}  ({origin})\n")
    return 0


def _read_file(environ: Mapping[str, str]) -> tuple[Path, yamltext.Document]:
    named = environ.get(f"{PREFIX}PLATFORM")
    path = Path(named).expanduser().absolute() if named else Layout(home()).platform_yaml
    try:
        document = yamltext.load(path.read_bytes())
    except FileNotFoundError:
        if not named:
            return path, yamltext.Document({})
        raise SettingsInvalid(
            f"SCHNITZEL_PLATFORM names {path}, which does not exist.",
            "Write the file, or unset SCHNITZEL_PLATFORM to use the defaults.",
        ) from None
    except OSError as error:
        raise SettingsInvalid(
            f"{path} cannot be read: {error.strerror}.", "Make it a file that you can read."
        ) from error
    except yamltext.YamlError as error:
        comma = "," if error.line else ""
        raise SettingsInvalid(f"{path}{comma} {error}.", "Mend the file.") from error
    # A section with all its lines commented out is null, and means an empty one.
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
        except yamltext.YamlError as error:
            raise SettingsInvalid(f"{name}: {error.message}.", "Quote it as in YAML.") from error
    return found


def _parse(text: str) -> Any:
    """Text, which pydantic turns into numbers; a list or mapping if it begins like one; or null."""
    if text[0] in "[{":
        return yamltext.load(f"value: {text}").values["value"]
    return None if text == "null" else text


def _refusal(
    error: ValidationError, path: Path, document: yamltext.Document, origins: Mapping[str, str]
) -> SettingsInvalid:
    problems = explain(error, PlatformFile)
    sentences = []
    for problem in problems:
        origin = _origin(problem.field, origins)
        if origin.startswith(PREFIX):
            sentences.append(f"{origin}: {problem.sentence}")
            continue
        line = _nearest(problem.field, document.lines)
        sentences.append(f"{path}{f', line {line}' if line else ''}: {problem.sentence}")
    return SettingsInvalid("\n".join(f"{text}." for text in sentences), problems[0].remedy)


def _origin(field: str, origins: Mapping[str, str]) -> str:
    return _nearest(field, origins) or "default"


def _nearest(field: str, table: Mapping[str, Any]) -> Any:
    """What the table says of a field, or else of the closest field around it."""
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


def _leaves(fields: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in fields.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"
