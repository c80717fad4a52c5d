"""Help: complete, light and quick to read."""

from importlib import import_module
from pathlib import Path

import pytest
import typer

from cli import errors, main
from cli.shell.groups import load
from cli.shell.table import ENTRIES, PANELS, Entry

ROOT = Path(__file__).parents[3]
COMMANDS = [(entry.name,) for entry in ENTRIES.values()] + [
    (entry.name, sub) for entry in ENTRIES.values() for sub in entry.commands
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_examples_first(schnitzel, words: tuple[str, ...]) -> None:
    shown = schnitzel(*words, "--help")
    assert shown.code == 0
    assert shown.err == ""
    assert shown.out.index("Examples:") < shown.out.index("Usage:") < shown.out.index("Options:")
    assert f"schnitzel {' '.join(words)}" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 100


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=lambda entry: entry.name)
def test_the_table_and_the_modules_agree(entry: Entry) -> None:
    command = load(entry.name)
    assert tuple(getattr(command, "commands", ())) == entry.commands
    assert command.help.strip().splitlines()[0].rstrip(".") == entry.summary
    assert import_module(entry.module).app


def test_every_command_module_is_in_the_table() -> None:
    modules = {path.stem for path in (ROOT / "cli" / "commands").glob("[a-z]*")}
    assert modules == {entry.module.rpartition(".")[2] for entry in ENTRIES.values()}


def test_the_root_help_shows_every_command_in_its_panel(schnitzel) -> None:
    shown = schnitzel("--help").out
    for panel, entries in PANELS.items():
        section = shown.partition(f"{panel}\n")[2].partition("\n\n")[0]
        for entry in entries:
            assert entry.summary in section
            assert "|".join(entry.commands) in section


def test_no_arguments_print_the_help(schnitzel) -> None:
    assert schnitzel().out == schnitzel("--help").out == schnitzel("help").out


def test_help_tells_the_exit_codes(schnitzel) -> None:
    shown = schnitzel("help", "exit-codes").out
    for code, meaning in errors.MEANINGS.items():
        assert f"{code} " in shown
        assert meaning in shown


def test_help_of_a_command_is_the_command_s_help(schnitzel) -> None:
    assert schnitzel("help", "train").out == schnitzel("train", "--help").out


def test_the_version_is_printed(schnitzel) -> None:
    assert schnitzel("--version").out == "schnitzel 0.1.0\n"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        (("deplyo",), "did you mean 'deploy'?"),
        (("deploy", "stats"), "did you mean 'status'?"),
        (("xyzzy",), "see the commands with: schnitzel --help"),
        (("help", "exit-code"), "did you mean 'exit-codes'?"),
    ],
)
def test_a_mistyped_command_is_answered_with_the_closest(schnitzel, typed, hint: str) -> None:
    shown = schnitzel(*typed)
    assert shown.code == errors.USAGE
    assert shown.out == ""
    assert shown.err.endswith(f"\n\nhint: {hint}\n")


@pytest.mark.parametrize(
    "typed",
    [
        ("deploy", "wait"),
        ("deploy", "list", "--nonsense"),
        ("deploy", "list", "-o", "xml"),
        ("deploy", "wait", "angler", "--timeout", "soon"),
        ("--nonsense",),
        ("status", "too", "many"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error_with_a_hint(schnitzel, typed) -> None:
    shown = schnitzel(*typed)
    assert shown.code == errors.USAGE
    assert shown.err.startswith("error: ")
    assert "\n\nhint: " in shown.err
    assert shown.out == ""


def test_the_root_of_typer_s_errors_is_where_we_look_for_it() -> None:
    assert main._CLICK_ERROR.__name__ == "ClickException"
    assert issubclass(typer.BadParameter, main._CLICK_ERROR)


def test_an_interrupt_exits_with_130(schnitzel, monkeypatch: pytest.MonkeyPatch) -> None:
    import cli.commands.project as module

    def interrupted(_: object) -> list[object]:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "projects", interrupted)
    assert schnitzel("project", "list").code == errors.INTERRUPTED
