"""Draw the objects that would change, and the tree of a deployment's objects."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from cli.clients.deployments import deployment_command, label
from cli.views.output import bold, colour_state, style

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNS = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "delete": ("-", "red"),
    "conflict": ("!", "red"),
    "refused": ("!", "red"),
    "wait": ("~", "yellow"),
    "left": ("=", "dim"),
}
_VERBS = {
    "create": "is made",
    "update": "changes",
    "delete": "goes",
    "conflict": "is foreign",
    "refused": "is refused",
    "wait": "is made again",
    "left": "is left as it is",
}
_FINE = (
    "ready", "serving", "running", "accepted", "succeeded", "progressing", "starting", "draining",
    "standby"
)  # fmt: skip
_INDENT = "    "


def diff(found: dict[str, Any]) -> str:
    """Draw the changes of one deployment: each object, and its fields before and after."""
    objects = found["objects"]
    lines = [bold(f"{label(found)}  {summary(objects)}")]
    for each in objects:
        lines += [_headline(each), *_fields(each)]
    if any(each["action"] == "conflict" for each in objects):
        adopt = deployment_command("deploy apply", found, "--adopt")
        lines.append(f"to adopt the foreign objects: {adopt}")
    lines += [f"not known yet: {sentence}" for sentence in found["unknown"]]
    if objects:
        lines.append(f"digest  {found['digest']}")
    return "\n".join(lines)


def summary(objects: list[dict[str, Any]]) -> str:
    """Count the objects that would be made, changed and deleted, as text."""
    numbers = [
        f"{sum(1 for each in objects if each['action'] == action)} {verb}"
        for action, verb in (
            ("create", "to make"), ("update", "to change"), ("delete", "to delete"),
            ("conflict", "foreign"), ("refused", "refused"), ("wait", "to make again"),
            ("left", "changed by hand and left so"),
        )
        if any(each["action"] == action for each in objects)
    ]  # fmt: skip
    return ", ".join(numbers) or "no object changes"


def one_line(each: dict[str, Any]) -> str:
    """Draw one object of a plan in a line."""
    sign, _ = _SIGNS[each["action"]]
    return f"{sign} {each['kind']}/{each['name']}{_why(each)}"


def tree(found: dict[str, Any]) -> str:
    """Draw the objects of a deployment, each under its owner."""
    return "\n".join([bold(label(found)), *_branch(found["root"], "", "")])


def _headline(each: dict[str, Any]) -> str:
    sign, colour = _SIGNS[each["action"]]
    where = f" in {each['namespace']}" if each["namespace"] else ""
    name = bold(f"{each['kind']}/{each['name']}")
    return f"{style(sign, colour)} {name}{where}{_why(each)}"


def _why(each: dict[str, Any]) -> str:
    """Return the text after an object's name: the rest of a sentence, or a new sentence."""
    name, why = f"{each['kind']}/{each['name']} ", each["why"]
    if why.startswith(name):
        return f" {why.removeprefix(name)}"
    return f": {why}" if why else f" {_VERBS[each['action']]}"


def _fields(each: dict[str, Any]) -> Iterator[str]:
    for field in each["fields"]:
        before, after = field["before"], field["after"]
        if not isinstance(before, (dict, list)) and not isinstance(after, (dict, list)):
            if before is None:
                yield f"{_INDENT}{style('+', 'green')} {field['path']}: {_plain(after)}"
            elif after is None:
                yield f"{_INDENT}{style('-', 'red')} {field['path']}: {_plain(before)}"
            else:
                yield f"{_INDENT}{field['path']}: {_plain(before)} -> {_plain(after)}"
            continue
        for value, sign, colour in ((before, "-", "red"), (after, "+", "green")):
            if value is not None:
                mark = style(sign, colour)
                yield f"{_INDENT}{mark} {field['path']}:"
                yield from (f"{_INDENT}{mark}   {line}" for line in _block(value))


def _plain(value: Any) -> str:
    """Write a single value as YAML, which distinguishes a text from a number."""
    import yaml

    text: str = yaml.safe_dump(value, allow_unicode=True, width=10**6, default_flow_style=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _block(value: Any) -> list[str]:
    import yaml

    text: str = yaml.safe_dump(value, allow_unicode=True, width=10**6, sort_keys=True)
    return text.rstrip("\n").splitlines()


def _branch(node: dict[str, Any], first: str, rest: str) -> Iterator[str]:
    yield first + _node(node)
    lines = _problem(node)
    children = node["children"]
    utf = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    fork, last, pipe = ("├── ", "└── ", "│   ") if utf else ("|-- ", "`-- ", "|   ")
    for line in lines:
        yield f"{rest}{pipe[:2] if children else '  '}{line}"
    for place, child in enumerate(children):
        end = place == len(children) - 1
        yield from _branch(child, rest + (last if end else fork), rest + (_INDENT if end else pipe))


def _node(node: dict[str, Any]) -> str:
    status = node["status"]
    if status and node["trouble"] and status.lower() not in _FINE:
        status = style(status, "red")
    else:
        status = colour_state(status)
    parts = [f"{node['kind']}/{node['name']}", node["ready"], status, node["detail"]]
    return "  ".join(filter(None, parts))


def _problem(node: dict[str, Any]) -> list[str]:
    return [f"{style('!', 'red')} {node['trouble']}"] if node["trouble"] else []
