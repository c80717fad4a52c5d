"""The page of pitfalls names tests that there are."""

from __future__ import annotations

import re

import pytest
from support import ROOT

PAGE = (ROOT / "docs/reference/rollout-pitfalls.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)(?:::(test_\w+))?`", PAGE)))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_test_that_the_page_names_is_there(path: str, name: str) -> None:
    text = (ROOT / "tests" / path).read_text(encoding="utf-8")
    assert f"def {name}(" in text if name else "def test_" in text


def test_it_names_many() -> None:
    assert len(NAMED) > 15
