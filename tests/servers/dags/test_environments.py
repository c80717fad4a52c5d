import os
import subprocess

import pytest

from dags import python_env
from dags.errors import ProjectEnvironmentFailed


@pytest.fixture(autouse=True)
def _offline(home, monkeypatch):
    """What these tests install is nothing: they need no registry, and must ask none."""
    monkeypatch.setenv("UV_OFFLINE", "1")


@pytest.fixture
def log():
    return []


def test_a_project_gets_an_interpreter_of_its_own_outside_its_folder(make_project, home, log):
    folder = make_project()
    before = sorted(folder.iterdir())
    environment = python_env.ensure(folder, log.append)
    asked = "import sys; print(sys.prefix)"
    python = environment / "bin" / "python"
    answer = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == str(environment)
    assert environment.is_relative_to(home.parent / "cache")
    assert sorted(folder.iterdir()) == before
    assert any("building the environment" in line for line in log)


def test_the_second_time_nothing_is_done(make_project, log, monkeypatch):
    folder = make_project()
    first = python_env.ensure(folder, log.append)
    log.clear()

    def never(*_):
        pytest.fail("uv was started for an environment that is complete")

    monkeypatch.setattr(python_env, "_uv", never)
    assert python_env.ensure(folder, log.append) == first
    assert log == []


def test_projects_with_the_same_pins_share_and_others_do_not(make_project, log):
    first, same = (make_project(name=name) for name in ("first", "same"))
    assert python_env.ensure(first, log.append) == python_env.ensure(same, log.append)
    (same / "pyproject.toml").write_text('[project]\nname = "x"\nrequires-python = ">=3.11"\n')
    assert python_env.ensure(first, log.append) != python_env.ensure(same, log.append)


def test_an_environment_whose_building_was_cut_short_is_built_again(make_project, log):
    folder = make_project()
    environment = python_env.ensure(folder, log.append)
    (environment / ".complete").unlink()
    (environment / "bin" / "python").unlink()
    python_env.ensure(folder, log.append)
    assert os.access(environment / "bin" / "python", os.X_OK)


def test_a_project_without_pins_gets_them_resolved_once_and_stays_clean(make_project, log):
    folder = make_project()
    (folder / "requirements.txt").unlink()
    first = python_env.ensure(folder, log.append)
    assert any("resolving" in line for line in log)
    log.clear()
    assert python_env.ensure(folder, log.append) == first
    assert log == []
    assert sorted(path.name for path in folder.iterdir()) == ["project.yaml", "pyproject.toml"]


def test_a_requirement_that_cannot_be_had_is_named(make_project, log):
    folder = make_project(
        requirements__txt=f"no-such-package-of-ours==1.0 --hash=sha256:{'0' * 64}\n"
    )
    with pytest.raises(ProjectEnvironmentFailed, match="no-such-package-of-ours") as caught:
        python_env.ensure(folder, log.append)
    assert "pyproject.toml" in caught.value.hint


def test_a_pin_without_a_hash_is_refused(make_project, log):
    folder = make_project(requirements__txt="six==1.17.0\n")
    with pytest.raises(ProjectEnvironmentFailed, match="hash"):
        python_env.ensure(folder, log.append)


def test_a_folder_without_pyproject_says_what_is_needed(tmp_path, log):
    with pytest.raises(ProjectEnvironmentFailed, match=r"pyproject\.toml"):
        python_env.ensure(tmp_path, log.append)
