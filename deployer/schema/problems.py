"""Turn pydantic's validation errors into readable sentences, each with a remedy."""

import difflib
import re
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from deployer.redact import redact_logins

_SECRET = re.compile(r"password|secret|token|credential|(api|access|private)_?key", re.IGNORECASE)
_MESSAGES = {
    "missing": "is missing",
    "int_parsing": "should be a whole number",
    "int_type": "should be a whole number",
    "int_from_float": "should be a whole number",
    "float_parsing": "should be a number",
    "float_type": "should be a number",
    "bool_parsing": "should be true or false",
    "bool_type": "should be true or false",
    "string_type": "should be text",
    "list_type": "should be a list",
    "dict_type": "should be a mapping of names to values",
    "model_type": "should be a mapping of fields to values",
}


@dataclass(frozen=True)
class Problem:
    """A mistake in a file: the dotted field, a sentence that names it, and the remedy."""

    field: str
    sentence: str
    remedy: str


def explain(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Describe each of pydantic's errors, with the field's own description as the remedy.

    Args:
        error: the error that `model` raised.
        model: the model with the descriptions and names; nested fields are found by type.
    """
    problems = []
    for item in error.errors(include_url=False):
        parts = tuple(str(part) for part in item["loc"])
        name = ".".join(parts)
        if item["type"] == "extra_forbidden":
            known = _fields(model, parts[:-1])
            problems.append(
                Problem(name, f"{name} is not a known field", suggest(parts[-1], known))
            )
            continue
        sentence = f"{name} {_words(item)}" if name else _words(item)
        if item["type"] != "missing" and parts and not isinstance(item["input"], Mapping):
            sentence += f", not {shown(name, item['input'])}"
        problems.append(Problem(name, sentence, _description(model, parts)))
    return problems


def suggest(name: str, known: Sequence[str]) -> str:
    """Suggest the known name that was probably meant, or list the known names."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    return f"Known here: {', '.join(known)}." if known else ""


def shown(name: str, value: object) -> str:
    """Shorten a value for a message, and hide it where the field may hold a secret."""
    if _SECRET.search(name):
        return "what is there (not shown)"
    text = redact_logins(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _words(item: Mapping[str, Any]) -> str:
    context = item.get("ctx", {})
    kind = item["type"]
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    if kind == "value_error":
        return str(context["error"])
    for bound, relation in (("ge", "at least"), ("le", "at most"), ("gt", "more than")):
        if bound in context and kind.startswith(("greater", "less")):
            return f"should be {relation} {context[bound]:g}"
    message = str(item["msg"])
    return re.sub(r"^(Input|Value|List|String|Dictionary) ", "", message)


def _fields(model: type[BaseModel] | None, path: Sequence[str]) -> list[str]:
    inner = _model_at(model, path)
    return list(inner.model_fields) if inner else []


def _description(model: type[BaseModel], path: Sequence[str]) -> str:
    for end in range(len(path), 0, -1):
        parent = _model_at(model, path[: end - 1])
        field = parent.model_fields.get(path[end - 1]) if parent else None
        if field is not None and field.description:
            return f"{'.'.join(path[:end])}: {field.description}"
    return ""


def _model_at(model: type[BaseModel] | None, path: Sequence[str]) -> type[BaseModel] | None:
    where: Any = model
    for part in path:
        if isinstance(where, type) and issubclass(where, BaseModel):
            field = where.model_fields.get(part)
            where = _bare(field.annotation) if field else None
        elif get_origin(where) is not None and issubclass(get_origin(where), Mapping | list):
            where = _bare(get_args(where)[-1])
        else:
            return None
    return where if isinstance(where, type) and issubclass(where, BaseModel) else None


def _bare(annotation: Any) -> Any:
    """Strip Optional and Annotated from a type."""
    while get_origin(annotation) in (Annotated, Union, types.UnionType):
        choices = [arg for arg in get_args(annotation) if arg is not type(None)]
        annotation = choices[0]
    return annotation
