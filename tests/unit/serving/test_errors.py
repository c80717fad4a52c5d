"""docs/reference/errors.md names every status and message that serving/ answers with."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from support import ROOT

PAGE = (ROOT / "docs/reference/errors.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\d{3})\b.*?$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
ALWAYS = {
    "BadInput": 400, "InvalidValue": 400, "WrongDatatype": 400, "NoSuchPath": 404,
    "Unavailable": 503, "WorkerGone": 503, "Overloaded": 503,
}  # fmt: skip
"""Exceptions that are answered with one status."""
WITH_STATUS = {"Refused", "_refuse", "failed", "Answer", "failure"}


def template(node: ast.AST, known: dict[str, str]) -> str | None:
    """A message as the page writes it: "…" stands for what differs."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.FormattedValue(value=ast.Name(id=name)) | ast.Name(id=name):
            return known.get(name, "…" if isinstance(node, ast.FormattedValue) else None)
        case ast.FormattedValue():
            return "…"
        case ast.JoinedStr(values=values):
            return "".join(template(each, known) or "" for each in values)
    return None


def said() -> Iterator[tuple[str, str, str]]:
    """Where, status, and message (empty if it is no literal) of all that is refused or answered."""
    for path in sorted((ROOT / "serving").rglob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for line, status, message in said_in(function):
                    yield f"{path.relative_to(ROOT)}:{line}", status, message


def said_in(function: ast.AST) -> Iterator[tuple[int, str, str]]:
    known: dict[str, str] = {}
    nodes = [node for node in ast.walk(function) if isinstance(node, ast.Assign | ast.Call)]
    for node in sorted(nodes, key=lambda node: (node.lineno, node.col_offset)):
        if isinstance(node, ast.Assign):
            text = template(node.value, known)
            if isinstance(node.targets[0], ast.Name) and text is not None:
                known[node.targets[0].id] = text
            continue
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        texts = [each for each in (template(each, known) for each in node.args) if each]
        message = next((each for each in texts if " " in each), "")
        if called in ALWAYS and node.args:
            yield node.lineno, str(ALWAYS[called]), message
        elif called in WITH_STATUS:
            for each in node.args:
                if isinstance(each, ast.Constant) and type(each.value) is int:
                    yield node.lineno, str(each.value), message


SAID = [each for each in said() if each[1] != "200"]


def test_the_code_was_read():
    assert {"400", "404", "405", "408", "413", "415", "417", "431"} <= {each[1] for each in SAID}
    assert {"500", "501", "503", "504", "505"} <= {each[1] for each in SAID}
    assert len([message for *_, message in SAID if message]) > 60


@pytest.mark.parametrize(("where", "status", "message"), SAID, ids=[each[0] for each in SAID])
def test_each_status_and_message_is_in_the_page(where, status, message):
    assert status in SECTIONS, f"{where}: {status} has no section"
    assert message in SECTIONS[status], f"{where}: {message!r} is not in the section {status}"


def test_the_page_names_no_status_that_nobody_answers():
    assert set(SECTIONS) == {status for _, status, _ in SAID}
