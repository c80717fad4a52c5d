"""Resolve the CLI's settings from flags, variables and files, each with its origin.

A flag wins over a SCHNITZEL_* variable, that over `schnitzel.toml` (in the current folder or one
above), that over `~/.config/schnitzel/config.toml`, and that over the default. Secrets are no
settings: a token or a password comes from a variable or from a file that only its owner can read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.errors import CommandError, unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True)
class Key:
    """A known setting: its name in files, its variable, its default and its meaning."""

    name: str
    variable: str
    default: str | None
    meaning: str


KEYS = {
    key.name: key
    for key in (
        Key("home", "SCHNITZEL_HOME", "~/.local/state/schnitzel", "where the platform lives"),
        Key("output", "SCHNITZEL_OUTPUT", "table", "table, json or yaml"),
        Key("environment", "SCHNITZEL_ENVIRONMENT", None, "the environment when no -e says which"),
        Key("deployer.url", "SCHNITZEL_DEPLOYER_URL", None, "the Deployer's API"),
        Key("mlflow.url", "SCHNITZEL_MLFLOW__URL", None, "the MLflow server"),
        Key("airflow.url", "SCHNITZEL_AIRFLOW__URL", None, "the Airflow API server"),
    )
}


@dataclass(frozen=True)
class Setting:
    """A setting's value and its origin, as in "schnitzel.toml" or "default"."""

    value: str | None
    origin: str


class Config:
    """Every setting of this invocation, resolved once.

    Args:
        environ: the environment variables.
        folder: where the command was called.
        flags: settings given on the command line, by name.

    Raises:
        CommandError: a file cannot be read, or names an unknown setting.
    """

    def __init__(
        self, environ: Mapping[str, str], folder: Path, flags: Mapping[str, str] | None = None
    ) -> None:
        variables = {key.name: environ.get(key.variable) for key in KEYS.values()}
        layers = list(_files(environ, folder))
        self.settings = {
            key.name: _resolve(key, (flags or {}).get(key.name), variables[key.name], layers)
            for key in KEYS.values()
        }

    def __getitem__(self, name: str) -> str | None:
        return self.settings[name].value

    @property
    def home(self) -> Path:
        """The platform's home, absolute."""
        return Path(os.path.abspath(Path(self["home"] or "").expanduser()))  # noqa: PTH100  # links are kept


FLAGS: dict[str, str] = {}  # of this invocation; the root command sets them


def current() -> Config:
    """Resolve the settings of this process, and export the home to child processes."""
    config = Config(os.environ, Path.cwd(), FLAGS)
    os.environ["SCHNITZEL_HOME"] = str(config.home)
    return config


def _resolve(
    key: Key, flag: str | None, variable: str | None, layers: list[tuple[str, Mapping[str, str]]]
) -> Setting:
    if flag:
        return Setting(flag, f"--{key.name}")
    if variable:
        return Setting(variable, key.variable)
    for origin, values in layers:
        if key.name in values:
            return Setting(values[key.name], origin)
    return Setting(key.default, "default")


def _files(environ: Mapping[str, str], folder: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    for parent in (folder, *folder.parents):
        nearest = parent / "schnitzel.toml"
        if nearest.is_file():
            yield str(nearest), _read(nearest)
            break
    base = environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".config"
    personal = Path(base) / "schnitzel" / "config.toml"
    if personal.is_file():
        yield str(personal), _read(personal)


def _read(path: Path) -> dict[str, str]:
    import tomllib

    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CommandError(f"{path}: {error}", "correct the file, or move it away") from error
    values = dict(_flat(document))
    for name, value in values.items():
        if name not in KEYS:
            raise unknown(f"setting in {path}:", name, KEYS, "see: schnitzel config show")
        if not isinstance(value, str):
            raise CommandError(f"{path}: {name} must be a string", f'write: {name} = "..."')
    return values


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
