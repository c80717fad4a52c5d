"""`project` and the parameters of `train`."""

import json
from pathlib import Path

import pytest

from cli import errors

YAML = """\
name: demo
owner: ada
model: demo-model
steps:
  train: {command: python train.py}
  check: {command: python check.py, needs: [train]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "demo folder"
    made.mkdir()
    (made / "project.yaml").write_text(YAML)
    return made


def test_check_says_what_the_project_is(schnitzel, folder: Path) -> None:
    shown = schnitzel("project", "check", folder, "-o", "json")
    assert shown.code == 0, shown.err
    assert shown.json["name"] == "demo"
    assert shown.json["owner"] == "ada"
    assert shown.json["model"] == "demo-model"
    assert len(shown.json["steps"]) == 2
    assert "train, check" in schnitzel("project", "check", folder).out


def test_a_wrong_project_is_a_usage_error_that_names_the_field(schnitzel, folder: Path) -> None:
    (folder / "project.yaml").write_text(YAML.replace("owner:", "ownr:"))
    shown = schnitzel("project", "check", folder)
    assert shown.code == errors.USAGE
    assert "ownr" in shown.err
    assert shown.out == ""


def test_add_registers_the_absolute_folder_once(schnitzel, home: Path, folder: Path) -> None:
    first = schnitzel("project", "add", folder.name)
    assert first.code == 0, first.err
    assert "next: schnitzel train demo" in first.err
    file = home / "projects" / "demo.json"
    assert json.loads(file.read_text()) == {"name": "demo", "path": str(folder)}
    assert "nothing changed" in schnitzel("project", "add", folder).err
    listed = schnitzel("project", "list", "-o", "json").json["projects"]
    assert listed == [{"name": "demo", "path": str(folder), "found": True}]


def test_another_folder_for_the_same_name_needs_a_yes(
    schnitzel, home: Path, folder: Path, tmp_path: Path
) -> None:
    schnitzel("project", "add", folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "project.yaml").write_text(YAML)
    assert schnitzel("project", "add", other).code == errors.USAGE
    assert schnitzel("project", "add", other, "--yes").code == 0
    assert json.loads((home / "projects" / "demo.json").read_text())["path"] == str(other)


def test_a_project_that_moved_away_is_marked(schnitzel, folder: Path) -> None:
    schnitzel("project", "add", folder)
    (folder / "project.yaml").unlink()
    assert "missing" in schnitzel("project", "list").out


def test_train_of_an_unregistered_project_names_the_closest(schnitzel, folder: Path) -> None:
    schnitzel("project", "add", folder)
    shown = schnitzel("train", "dmo")
    assert shown.code == errors.USAGE
    assert "did you mean 'demo'?" in shown.err


def test_a_removed_project_is_gone_and_its_folder_is_not(schnitzel, home: Path, folder) -> None:
    assert schnitzel("project", "add", folder).code == 0
    done = schnitzel("project", "remove", "demo", "-o", "json")
    assert done.code == 0
    assert done.json == {"name": "demo", "path": str(folder)}
    assert f"schnitzel project add '{folder}'" in done.err
    assert schnitzel("project", "list", "-o", "json").json == {"projects": []}
    assert (folder / "project.yaml").is_file()
    again = schnitzel("project", "remove", "demo")
    assert again.code == errors.USAGE
    assert not list((home / "projects").iterdir())
