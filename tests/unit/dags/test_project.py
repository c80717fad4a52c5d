from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from dags.clusters.known import CLUSTERS
from dags.errors import ProjectInvalid
from dags.project.definition import Project, Step, load
from dags.project.fields import CLUSTER_NAMES

EVERYTHING = """
    name: angler
    owner: web-safety
    schedule: "@daily"
    max_active_runs: 2
    params: {seed: 7, rate: 0.5, fast: true, note: hello}
    steps:
      prepare: {command: python -m prepare, timeout: 90s}
      train: {command: python -m train, needs: [prepare], retries: 2, timeout: 2h}
    gate: {metric: auc, floor: 0.9}
    promotion: {to: staging, when: gate}
"""


def refusal(make_project, text):
    with pytest.raises(ProjectInvalid) as caught:
        load(make_project(text))
    return caught.value


def test_a_whole_project_is_read(make_project):
    folder = make_project(EVERYTHING)
    project = load(folder)
    assert project.folder == folder
    assert project.model == "angler"
    assert project.steps["train"].needs == ("prepare",)
    assert project.steps["prepare"].timeout == timedelta(seconds=90)
    assert project.params == {"seed": 7, "rate": 0.5, "fast": True, "note": "hello"}


def test_what_is_left_out_has_a_safe_default(make_project):
    project = load(make_project())
    only = project.steps["only"]
    assert (project.max_active_runs, project.schedule, project.promotion) == (1, None, None)
    assert (only.cluster, only.retries, only.timeout) == ("local", 0, timedelta(hours=1))


@pytest.mark.parametrize(
    ("line", "broken", "field", "why"),
    [
        ("name: angler", "name: Angler!", "name", "should match pattern"),
        ("owner: web-safety", "", "owner", "Field required"),
        ("owner: web-safety", "owner: x\n    modle: y", "modle", "no such field"),
        ("timeout: 90s", "timeout: 90", "steps.prepare.timeout", 'with a unit: "90s"'),
        ("timeout: 90s", "cluster: moon", "steps.prepare.cluster", "known: local"),
        ("retries: 2", "retries: -1", "steps.train.retries", "greater than or equal to 0"),
        ("needs: [prepare]", "needs: [prepar]", "steps.train.needs", "steps: prepare, train"),
        ("needs: [prepare]", "needs: [train]", "steps.train.needs", "a circle of needs: train"),
        ("prepare: {", "start_run: {", "steps.start_run", "choose another"),
        ("to: staging", "to: Production", "promotion.to", "a person does"),
        ("when: gate", "when: maybe", "promotion.when", "'gate', 'always' or 'never'"),
        ("gate: {metric: auc, floor: 0.9}", "", "promotion.when", "needs a gate section"),
        ("floor: 0.9", "floor: .nan", "gate.floor", "finite number"),
        ("seed: 7", "seed: [7]", "params.seed", "valid"),
        ("max_active_runs: 2", "max_active_runs: 0", "max_active_runs", "greater than or equal"),
    ],
)
def test_a_mistake_is_named_by_file_and_field(make_project, line, broken, field, why):
    assert line in EVERYTHING
    error = refusal(make_project, EVERYTHING.replace(line, broken))
    assert any(name.startswith(field) and why in text for name, text in error.problems), str(error)
    assert f"project.yaml: {field}" in str(error)
    assert "schnitzel project check" in error.hint


def test_every_mistake_is_listed_at_once(make_project):
    error = refusal(make_project, EVERYTHING.replace("floor: 0.9", "flor: 1").replace("90s", "x"))
    assert {field for field, _ in error.problems} == {
        "steps.prepare.timeout",
        "gate.floor",
        "gate.flor",
    }


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name: a\nname: b\n", 'line 2: the key "name" is written twice'),
        ("name: [\n", "expected the node content"),
        ("- a list\n", "must be a mapping"),
        ("", "must be a mapping"),
        ("name: !!python/object:os.system {}\n", "could not determine a constructor"),
    ],
)
def test_what_is_no_project_file_is_refused(make_project, text, why):
    assert why in str(refusal(make_project, text))


def test_a_folder_without_the_file_says_what_a_project_is(tmp_path):
    with pytest.raises(ProjectInvalid, match="there is no such file") as caught:
        load(tmp_path)
    assert "schnitzel project list" in caught.value.hint


@given(st.integers(1, 10_000), st.sampled_from("smhd"))
def test_a_duration_is_its_number_of_units(number, unit):
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit]
    step = Step.model_validate({"command": "x", "timeout": f"{number}{unit}"})
    assert step.timeout == timedelta(seconds=number * seconds)


@given(st.data())
def test_needs_are_accepted_exactly_when_they_make_an_order(data):
    names = [f"s{i}" for i in range(data.draw(st.integers(1, 6)))]
    needs = {n: data.draw(st.lists(st.sampled_from(names), unique=True)) for n in names}
    steps = {n: {"command": "x", "needs": needs[n]} for n in names}

    def reaches_itself(name):
        seen, todo = set(), list(needs[name])
        while todo:
            at = todo.pop()
            if at not in seen:
                seen.add(at)
                todo.extend(needs[at])
        return name in seen

    try:
        Project.model_validate({"name": "p", "owner": "o", "steps": steps})
        accepted = True
    except ValueError:
        accepted = False
    assert accepted is not any(reaches_itself(name) for name in names)


def test_every_cluster_that_a_step_can_name_is_known():
    assert set(CLUSTER_NAMES) == set(CLUSTERS)
