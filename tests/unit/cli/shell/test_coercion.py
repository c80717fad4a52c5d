"""The light parser: what it makes of words, and that Typer keeps what it does not know."""

from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from cli.shell.coercion import lighten

since_0_29 = pytest.mark.skipif(
    find_spec("typer._coercion") is None, reason="before 0.29 Typer's own parser is light"
)


class Colour(StrEnum):
    RED = "red"


def app() -> typer.Typer:
    made = typer.Typer(rich_markup_mode=None)

    @made.command()
    def show(
        name: str,
        number: Annotated[int, typer.Option()] = 1,
        share: Annotated[float | None, typer.Option()] = None,
        folder: Annotated[Path, typer.Option()] = Path(),
        colour: Annotated[Colour | None, typer.Option()] = None,
        many: Annotated[list[str] | None, typer.Option()] = None,
        flag: Annotated[bool, typer.Option("--flag/--no-flag")] = False,
    ) -> None:
        typer.echo(repr((name, number, share, folder, colour, many, flag)))

    return made


@pytest.mark.parametrize(
    "words",
    [
        ["x"],
        ["x", "--number", "3", "--share", "0.5", "--folder", "a/b"],
        ["x", "--colour", "red", "--many", "a", "--many", "b", "--flag"],
    ],
)
def test_it_reads_words_as_typer_does(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    heavy = CliRunner().invoke(app(), words)
    lighten(typer.main.get_command(app())).main(args=words, standalone_mode=False)
    assert capsys.readouterr().out == heavy.output


@since_0_29
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x", "--number", "three"], "'three' is not a whole number"),
        (["x", "--share", "half"], "'half' is not a number"),
        (["x", "--colour", "blue"], "'blue' is not one of: red"),
    ],
)
def test_it_says_what_was_expected(words: list[str], message: str) -> None:
    command = lighten(typer.main.get_command(app()))
    with pytest.raises(typer.BadParameter, match=message):
        command.main(args=words, standalone_mode=False)


@since_0_29
def test_a_type_it_does_not_know_is_left_to_typer() -> None:
    made = typer.Typer()

    @made.command()
    def show(pair: Annotated[tuple[int, str], typer.Option()]) -> None: ...

    param = lighten(typer.main.get_command(made)).params[0]
    assert param._runtime_param is None
