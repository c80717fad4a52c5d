"""Every `schnitzel ...` that our code, hints and documents tell people to type exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.shell.groups import load
from cli.shell.table import ENTRIES

ROOT = Path(__file__).parents[3]
WORDS = r"schnitzel ([a-z]+(?: [^`'\"\n;)]*)?)"
IN_CODE = re.compile(rf"(?<![\w/.-]){WORDS}")
IN_PROSE = re.compile(rf"(?:`|^ *(?:\$ )?){WORDS}", re.MULTILINE)
HOME = ("cli", "deployer", "serving", "dags", "stack")


def sources() -> Iterator[Path]:
    for package in HOME:
        yield from sorted((ROOT / package).rglob("*.py"))
        yield from sorted((ROOT / package).rglob("*.html"))
    yield from sorted((ROOT / "docs").rglob("*.md"))
    yield from sorted(ROOT.glob("examples/*/*.md"))
    yield from sorted(ROOT.glob("examples/sentiment/*/*.md"))
    yield from sorted(ROOT.glob("*.md"))


def mentions() -> list[tuple[str, str]]:
    found = {}
    for path in sources():
        pattern = IN_PROSE if path.suffix == ".md" else IN_CODE
        for match in pattern.finditer(path.read_text(encoding="utf-8")):
            found.setdefault(match[1].strip(), str(path.relative_to(ROOT)))
    return [(where, words) for words, where in found.items()]


@pytest.mark.parametrize(("where", "words"), mentions(), ids=lambda text: text[:60])
def test_a_command_that_people_are_told_to_type_exists(where: str, words: str) -> None:
    name, *rest = words.split()
    assert name in ENTRIES, f"{where}: schnitzel {words}"
    command = load(name)
    if ENTRIES[name].commands and rest and re.fullmatch(r"[a-z][a-z-]*", rest[0]):
        assert rest[0] in ENTRIES[name].commands, f"{where}: schnitzel {words}"
        command = command.commands[rest[0]]
    known = {option for param in command.params for option in (*param.opts, *param.secondary_opts)}
    for option in (word for word in rest if re.fullmatch(r"--?[a-z][a-z-]*", word)):
        assert option in {*known, "--help"}, f"{where}: schnitzel {words}"
