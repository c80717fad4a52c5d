"""Settings: which layer wins, and what each says of its origin."""

from pathlib import Path

import pytest

from cli.config import Config
from cli.errors import CommandError

PERSONAL = ".config/schnitzel/config.toml"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_each_layer_wins_over_the_one_below(tmp_path: Path) -> None:
    folder = tmp_path / "work" / "deep"
    folder.mkdir(parents=True)
    environ = {"HOME": str(tmp_path)}

    def found(flags: dict[str, str] | None = None) -> tuple[str | None, str]:
        setting = Config(environ, folder, flags).settings["home"]
        return setting.value, setting.origin

    assert found() == ("~/.local/state/schnitzel", "default")
    write(tmp_path / PERSONAL, 'home = "/personal"\n')
    assert found() == ("/personal", str(tmp_path / PERSONAL))
    write(tmp_path / "work" / "schnitzel.toml", 'home = "/project"\n')
    assert found() == ("/project", str(tmp_path / "work" / "schnitzel.toml"))
    environ["SCHNITZEL_HOME"] = "/variable"
    assert found() == ("/variable", "SCHNITZEL_HOME")
    assert found({"home": "/flag"}) == ("/flag", "--home")


def test_an_empty_variable_counts_as_unset(tmp_path: Path) -> None:
    config = Config({"HOME": str(tmp_path), "SCHNITZEL_OUTPUT": ""}, tmp_path)
    assert config.settings["output"].origin == "default"


def test_sections_name_settings_with_a_dot(tmp_path: Path) -> None:
    write(tmp_path / "schnitzel.toml", '[mlflow]\nurl = "http://tracking:5000"\n')
    assert Config({"HOME": "/nowhere"}, tmp_path)["mlflow.url"] == "http://tracking:5000"


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ('outputt = "json"', "outputt", "did you mean 'output'?"),
        ("output = 3", "output must be a string", 'write: output = "..."'),
        ("output = ", "schnitzel.toml", "correct the file"),
        ('token = "s3cret"', "token", "see: schnitzel config show"),
    ],
)
def test_a_wrong_file_is_named_with_its_field(
    tmp_path: Path, text: str, words: str, hint: str
) -> None:
    write(tmp_path / "schnitzel.toml", text)
    with pytest.raises(CommandError) as caught:
        Config({"HOME": str(tmp_path)}, tmp_path)
    assert words in str(caught.value)
    assert hint in caught.value.hint


def test_the_default_ports_are_those_of_the_stack() -> None:
    from cli.settings import DEFAULT_PORTS
    from stack.settings import Settings

    assert Settings().wanted_ports() == DEFAULT_PORTS


def test_an_output_that_does_not_exist_is_blamed_on_its_origin(
    schnitzel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHNITZEL_OUTPUT", "xml")
    shown = schnitzel("project", "list")
    assert shown.code == 2
    assert "SCHNITZEL_OUTPUT says output = 'xml'" in shown.err
