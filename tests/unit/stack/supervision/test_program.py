import configparser
import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from stack.errors import ProgramError
from stack.supervision.program import Program, render

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=()))
NAMES = TEXT.filter(lambda name: name != "" and "=" not in name)


@given(
    command=st.lists(TEXT, min_size=1).filter(lambda items: items[0] != ""),
    environment=st.dictionaries(NAMES, TEXT),
    codes=st.lists(st.integers(0, 255)),
)
def test_a_definition_on_file_is_the_same_program(
    command: list[str], environment: dict[str, str], codes: list[int]
) -> None:
    program = Program(
        "a", tuple(command), environment, Path("/x"), Path("/y"), exit_codes=tuple(codes)
    )
    assert program.definition().isascii()
    assert Program.from_definition(program.definition()) == program


def test_a_definition_of_an_earlier_version_is_read() -> None:
    program = Program("a", ("true",), {}, Path("/x"), Path("/y"))
    written = json.loads(program.definition())
    del written["without"]
    assert Program.from_definition(json.dumps(written)) == program


@given(command=st.lists(TEXT, min_size=1).filter(lambda items: items[0] != ""))
def test_no_argument_reaches_the_configuration(command: list[str]) -> None:
    program = Program("a", tuple(command), {}, Path("/x"), Path("/home/logs/a.log"))
    text = render(Path("/home/run"), "id", "key", Path("/home/run/sock"), [program])
    plain = Program("a", ("true",), {}, Path("/x"), Path("/home/logs/a.log"))
    assert text == render(Path("/home/run"), "id", "key", Path("/home/run/sock"), [plain])


def test_the_configuration_stops_whole_groups_and_rotates_logs() -> None:
    program = Program("a", ("true",), {}, Path("/x"), Path("/home/logs/a.log"), stop_seconds=7)
    text = render(Path("/home/run"), "id", "key", Path("/home/run/sock"), [program])
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    section = parser["program:a"]
    assert section["stopasgroup"] == section["killasgroup"] == "true"
    assert section["stopwaitsecs"] == "7"
    assert section["stdout_logfile"] == "./../logs/a.log"
    assert section["stdout_logfile_maxbytes"] == "10MB"


@pytest.mark.parametrize("log", ["/elsewhere/a\n.log", "/elsewhere/a ;b.log", "/elsewhere/ #.log"])
def test_a_log_that_the_format_cannot_carry_is_refused(log: str) -> None:
    program = Program("a", ("true",), {}, Path("/x"), Path(log))
    with pytest.raises(ProgramError) as caught:
        render(Path("/home/run"), "id", "key", Path("/home/run/sock"), [program])
    assert caught.value.hint
