"""docs/reference/states.md explains every word that the code can say, and no other."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from pathlib import Path
from typing import get_args, get_type_hints

import deployer
from deployer.errors import SchnitzelError
from deployer.state.predictor import Phase
from deployer.state.reasons import Reason, RegistryHealth, State, Sync, TagReason
from deployer.targets.kubernetes.diagnosis.reasons import PodReason
from stack.components.status import Status

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "reference" / "states.md").read_text()
ENUMS = (State, Sync, Reason, RegistryHealth, TagReason, PodReason)
# Where a reason is handed over, and the place of it among the arguments.
GIVEN = {"Verdict": 1, "Failure": 0, "Health": 1, "Death": 0, "_fail": 0}


def headings() -> list[str]:
    return re.findall(r"^### (\w+)$", PAGE, re.MULTILINE)


def rows(section: str) -> set[str]:
    """The words in the first column of a section's table."""
    text = PAGE.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))


def errors() -> set[str]:
    """What is shown for each error that the Deployer has a class for."""
    for module in pkgutil.walk_packages(deployer.__path__, "deployer."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, waiting = set(), [SchnitzelError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind is not SchnitzelError:  # never raised itself: the next test sees to that
            found.add(getattr(kind, "reason", kind.__name__))
    return found


def calls(folder: str) -> list[tuple[str, ast.Call]]:
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node)
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]


def texts(node: ast.AST | None) -> list[str]:
    """The words written out in an expression, such as both of `"A" if so else "B"`."""
    found = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant)] if node else []
    return [value for value in found if isinstance(value, str) and re.match(r"[A-Z]\w+$", value)]


def reason_of(call: ast.Call) -> ast.AST | None:
    for keyword in call.keywords:
        if keyword.arg == "reason":
            return keyword.value
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    place = GIVEN.get(name)
    return call.args[place] if place is not None and len(call.args) > place else None


def test_the_page_has_an_entry_for_every_word_and_no_other():
    said = {str(member) for enum in ENUMS for member in enum} | errors()
    told = headings()
    assert sorted(told) == sorted(set(told)), "a word has two entries"
    assert said - set(told) == set(), "docs/reference/states.md lacks a section for each of these"
    assert set(told) - said == set(), "sections of docs/reference/states.md that nobody says"


def test_every_reason_comes_from_the_lists():
    """A reason that is written out where it is used would escape the page."""
    free = [
        (where, text)
        for where, call in calls("deployer")
        if "deployer/targets/kubernetes" not in where
        for text in texts(reason_of(call))
    ]
    assert free == []
    bare = [
        where
        for where, call in calls("deployer")
        if getattr(call.func, "id", "") == "SchnitzelError"
    ]
    assert bare == [], "an error is shown by its own name"


def test_the_model_server_says_no_other_word():
    """It cannot import the list: nothing of the Deployer's is in its environment."""
    said = {text for _, call in calls("serving") for text in texts(reason_of(call))}
    for path in (ROOT / "serving").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Assign) and "reason" in map(ast.unparse, node.targets):
                said.update(texts(node.value))
    assert "LoadError" in said
    assert said <= {str(word) for word in Reason} | errors()


def test_phases_and_health_are_explained():
    assert rows("Phases of a predictor") == {str(phase) for phase in Phase} | {
        "draining",
        "standby",
    }
    health = get_args(get_type_hints(Status)["health"])
    assert rows("Health of a component") == set(health)
