import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from dags.project.definition import load

HOME = Path(__file__).parents[3] / "examples"
EXAMPLES = sorted(
    path.parent for among in ("*", "sentiment/*") for path in HOME.glob(f"{among}/project.yaml")
)


@pytest.fixture(params=EXAMPLES, ids=lambda folder: folder.name)
def example(request):
    return request.param


def test_an_example_is_a_valid_project_with_a_gate_and_a_promotion_to_staging(example):
    project = load(example)
    assert list(project.steps) == [
        "prepare",
        "train",
        "evaluate",
        "register",
        "gate",
        "promote",
    ]
    assert project.gate is not None
    assert project.promotion is not None
    assert project.promotion.to == "staging"
    assert "seed" in project.params
    assert (example / "serving.yaml").exists()
    assert (example / "README.md").exists()


def test_the_pins_fit_the_dependencies_and_name_no_address(example):
    wanted = tomllib.loads((example / "pyproject.toml").read_text())["project"]["dependencies"]
    text = (example / "requirements.txt").read_text()
    pins = dict(re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", text, re.MULTILINE))
    for line in wanted:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pins[requirement.name]), line
    assert "://" not in text
    assert text.count("--hash=sha256:") >= len(pins)


def test_an_example_depends_on_nothing_of_the_platform(example):
    dependencies = tomllib.loads((example / "pyproject.toml").read_text())["project"][
        "dependencies"
    ]
    names = {Requirement(line).name for line in dependencies}
    assert not names & {"schnitzel", "apache-airflow"}
    for module in example.glob("src/**/*.py"):
        ours = re.search(
            r"(?m)^ *(from|import) (dags|deployer|serving|cli|stack)", module.read_text()
        )
        assert not ours, module
