"""Parse YAML text into a mapping of plain values, with the line of each field.

Stricter than YAML: no anchors (a small file could expand to gigabytes), no tags, no duplicate keys,
no dates; and `on`, `off`, `yes`, `no` are strings, not booleans.
"""

import math
import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml


class YamlError(ValueError):
    """The YAML text is not acceptable; `line` counts from 1, and is 0 where it is unknown."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)
        self.message = message
        self.line = line


@dataclass(frozen=True)
class Document:
    """A mapping as written, and the line of each dotted field, counted from 1."""

    values: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)


def load(text: str | bytes) -> Document:
    """Parse one YAML mapping; an empty text is an empty mapping.

    Raises:
        YamlError: the text is not YAML, not a mapping, or uses a forbidden feature.
    """
    try:
        loader = _Loader(text if isinstance(text, str) else text.decode("utf-8"))
        node = loader.get_single_node()
        if node is None:
            return Document({})
        if not isinstance(node, yaml.MappingNode):
            raise YamlError("should be a mapping of fields to values", _line(node))
        lines: dict[str, int] = {}
        _check(node, "", lines)
        return Document(loader.construct_document(node), lines)
    except UnicodeDecodeError as error:
        raise YamlError("should be text in UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(error.problem or "is not YAML", mark.line + 1 if mark else 0) from error
    except yaml.YAMLError as error:
        raise YamlError(f"is not YAML: {error}") from error
    except (RecursionError, ValueError) as error:
        if isinstance(error, YamlError):
            raise
        raise YamlError(f"cannot be read: {error}") from error


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
            raise YamlError("anchors and aliases (&, *) are not allowed here", line)
        return super().compose_node(parent, index)

    def finite_float(self, node: yaml.ScalarNode) -> float:
        number = self.construct_yaml_float(node)
        if not math.isfinite(number):
            raise YamlError(f"{node.value} is not a finite number", _line(node))
        return number


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.finite_float)

_DROPPED = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:merge"}
_Loader.yaml_implicit_resolvers = {
    letter: [pair for pair in pairs if pair[0] not in _DROPPED]
    for letter, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_ALLOWED = {
    f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "seq", "map")
}


def _check(node: yaml.Node, path: str, lines: dict[str, int]) -> None:
    if node.tag not in _ALLOWED:
        raise YamlError(f"the tag {node.tag} is not allowed here", _line(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _check(item, f"{path}.{index}", lines)
    elif isinstance(node, yaml.MappingNode):
        seen: set[Hashable] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise YamlError("a field's name should be text; quote it", _line(key))
            if key.value in seen:
                raise YamlError(f"{key.value!r} is there twice", _line(key))
            seen.add(key.value)
            field_path = f"{path}.{key.value}" if path else str(key.value)
            lines[field_path] = _line(key)
            _check(value, field_path, lines)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
