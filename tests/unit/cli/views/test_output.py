"""Output: data on standard output, the rest on standard error; readable without colour."""

import sys
from collections.abc import Callable
from io import StringIO

import pytest

from cli.errors import CommandError, UsageError
from cli.views import output
from cli.views.live import Board
from cli.views.output import Format


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def at_a_terminal(home, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Make standard output, error and input a terminal; called in the test, after pytest's own."""

    def begin() -> Terminal:
        shown = Terminal()
        monkeypatch.setattr(sys, "stdout", shown)
        monkeypatch.setattr(sys, "stderr", shown)
        monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
        monkeypatch.setenv("TERM", "xterm")
        return shown

    return begin


def test_a_terminal_gets_colour(at_a_terminal: Callable[[], Terminal]) -> None:
    at_a_terminal()
    assert output.colour_state("Serving") == "\x1b[32mServing\x1b[0m"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colour_can_be_turned_off(
    at_a_terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    at_a_terminal()
    monkeypatch.setenv(name, value)
    assert output.colour_state("Failed") == "Failed"
    assert output.bold("title") == "title"


def test_a_pipe_gets_no_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", StringIO())
    assert output.colour_state("Failed") == "Failed"


def test_a_table_is_aligned_with_colour_as_without(
    at_a_terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_a_terminal()
    rows = [("angler@prod", "Serving", "x"), ("iris@staging", "Failed", None)]
    with_colour = output.table(("NAME", "STATE", "Z"), rows)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = output.table(("NAME", "STATE", "Z"), rows)
    assert plain == ("NAME          STATE    Z\nangler@prod   Serving  x\niris@staging  Failed")
    for code in ("1", "31", "32", "0"):
        with_colour = with_colour.replace(f"\x1b[{code}m", "")
    assert with_colour == plain


def test_a_cell_with_line_breaks_stays_one_line() -> None:
    assert output.table(("A",), [("one\n  two",)]).splitlines()[1] == "one two"


def test_the_table_is_not_made_for_json(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit({"naïve": [1, None]}, Format.JSON, lambda: pytest.fail("made the table"))
    assert capsys.readouterr().out == '{\n  "naïve": [\n    1,\n    null\n  ]\n}\n'


def test_yaml_keeps_the_order(capsys: pytest.CaptureFixture[str]) -> None:
    output.emit({"b": 1, "a": None}, Format.YAML, str)
    assert capsys.readouterr().out == "b: 1\na: null\n"


def test_an_error_is_followed_by_an_empty_line_and_its_hint(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.report(CommandError("it broke", "fix it"))
    assert capsys.readouterr().err == "error: it broke\n\nhint: fix it\n"
    output.report(CommandError("it broke"))
    assert capsys.readouterr().err == "error: it broke\n"


def test_without_a_terminal_a_question_is_refused_not_asked() -> None:
    with pytest.raises(UsageError) as caught:
        output.confirm("Go?", yes=False)
    assert "--yes" in caught.value.hint
    output.confirm("Go?", yes=True)


def test_a_no_changes_nothing(at_a_terminal: Callable[[], Terminal]) -> None:
    terminal = at_a_terminal()
    with pytest.raises(CommandError, match="nothing was changed"):
        output.confirm("Go?", yes=False)
    assert "Go? [y/N]" in terminal.getvalue()


def test_a_log_gets_a_line_for_each_change_and_no_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Board() as board:
        board.line("train", "train running", detail="1 s")
        board.line("train", "train running", detail="2 s")
        board.line("train", "train success")
    assert capsys.readouterr().err == "train running\ntrain success\n"


def test_a_terminal_is_redrawn_in_place(at_a_terminal: Callable[[], Terminal]) -> None:
    terminal = at_a_terminal()
    with Board() as board:
        board.line("a", "a running", detail="1 s")
        board.line("b", "b waiting")
        board.line("a", "a success")
    shown = terminal.getvalue()
    assert shown.endswith("\x1b[2A\x1b[2Ka success\n\x1b[2Kb waiting\n")
    assert "a running  1 s" in shown
