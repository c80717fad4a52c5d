"""Parse plain parameters of Typer commands without pydantic.

Since 0.29 Typer converts every value of every option with a pydantic adapter, which adds about 100
ms to a command that takes 60 (measured: a hello world with one string option). Our parameters are
strings, numbers, paths, choices and lists of strings, which need no adapter. Typer handles all
other parameters as before.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import typer

_PLAIN: tuple[type, ...] = (str, int, float, bool, Path)  # a flag is a bool already, or None
_NOUNS: dict[Any, str] = {int: "a whole number", float: "a number"}


class _Plain:
    """Converts command-line strings to one plain type, as Typer's `RuntimeParam` does."""

    def __init__(self, annotation: Any, *, repeated: bool) -> None:
        self._annotation = annotation
        self._repeated = repeated

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        if self._repeated:
            return tuple(self._one(item, param, ctx) for item in value or ())
        return None if value is None else self._one(value, param, ctx)

    def _one(self, value: Any, param: Any, ctx: Any) -> Any:
        kind = self._annotation
        try:
            return kind(value)
        except ValueError:
            if issubclass(kind, Enum):
                choices = ", ".join(str(member.value) for member in kind)
                message = f"{value!r} is not one of: {choices}"
            else:
                message = f"{value!r} is not {_NOUNS.get(kind, kind.__name__)}"
            raise typer.BadParameter(message, ctx=ctx, param=param) from None


def lighten(command: Any) -> Any:
    """Give every plain parameter of a command, and of its subcommands, the light parser."""
    for param in command.params:
        lighten_parameter(param)
    for sub in getattr(command, "commands", {}).values():
        lighten(sub)
    return command


def lighten_parameter(param: Any) -> None:
    """Give one parameter the light parser, if its type is plain."""
    descriptor = getattr(param, "type_descriptor", None)
    light = _light(descriptor.annotation) if descriptor is not None else None
    if light is not None:
        param._runtime_param = light  # where Typer keeps its own, made on demand


def _light(annotation: Any) -> _Plain | None:
    if get_origin(annotation) in (Union, UnionType):
        inner = [arg for arg in get_args(annotation) if arg is not type(None)]
        return _light(inner[0]) if len(inner) == 1 else None
    if get_origin(annotation) is list:
        (item,) = get_args(annotation)
        return _Plain(item, repeated=True) if item in _PLAIN else None
    if annotation in _PLAIN:
        return _Plain(annotation, repeated=False)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _Plain(annotation, repeated=False)
    return None
