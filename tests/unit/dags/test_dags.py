import pytest

from dags.errors import PipelineError
from dags.projects import dags_of, register, register_folder

DIAMOND = """
    name: tiny
    owner: someone
    description: A test.
    schedule: "0 3 * * *"
    tags: [nightly]
    params: {seed: 7, rate: 0.5, fast: true, note: hello}
    steps:
      prepare: {command: a}
      left: {command: b, needs: [prepare], timeout: 5m}
      right: {command: c, needs: [prepare], retries: 2}
      join: {command: d, needs: [left, right]}
      alone: {command: e}
"""


@pytest.fixture
def dags(home, make_project, register_project):
    """The DAGs of one project: its project.yaml's text, and more files."""

    def make(text, **files):
        register_project(make_project(text, **files), "tiny")
        return dags_of(home / "projects" / "tiny.json")

    return make


def only(dags):
    assert len(dags) == 1
    return dags[0]


def test_the_steps_run_in_the_order_of_their_needs_inside_one_mlflow_run(dags):
    dag = only(dags(DIAMOND))
    edges = {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks}
    assert edges == {
        "start_run": ["alone", "end_run", "prepare"],
        "prepare": ["left", "right"],
        "left": ["join"],
        "right": ["join"],
        "join": ["end_run"],
        "alone": ["end_run"],
        "end_run": [],
    }
    assert dag.task_dict["start_run"].is_setup
    assert dag.task_dict["end_run"].is_teardown  # the steps decide whether the DAG run succeeded
    assert dag.task_dict["end_run"].trigger_rule == "all_done_setup_success"


def test_a_dag_follows_the_house_rules(dags):
    dag = only(dags(DIAMOND))
    assert {task.owner for task in dag.tasks} == {"someone"}
    assert dag.tags >= {"schnitzel", "model:tiny", "nightly"}
    assert dag.description == "A test."
    assert dag.schedule == "0 3 * * *"
    assert (dag.catchup, dag.max_active_runs, dag.is_paused_upon_creation) == (False, 1, False)
    assert all(word in dag.doc_md for word in ("someone", "`b`", "0:05:00", '"seed": 7'))
    assert not any(task.do_xcom_push for task in dag.tasks)


def test_timeout_and_retries_are_airflows(dags):
    tasks = only(dags(DIAMOND)).task_dict
    assert tasks["left"].execution_timeout.total_seconds() == 300
    assert (tasks["right"].retries, tasks["left"].retries) == (2, 0)


def test_another_value_of_a_parameter_must_be_of_the_defaults_type(dags):
    params = only(dags(DIAMOND)).params
    assert params.dump() == {"seed": 7, "rate": 0.5, "fast": True, "note": "hello"}
    params["seed"] = 8
    with pytest.raises(ValueError, match="is not of type 'integer'"):
        params["seed"] = "eight"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (DIAMOND.replace("needs: [prepare], r", "needs: [nobody], r"), "steps.right.needs"),
        (DIAMOND.replace("name: tiny", "name: other"), 'registered as "tiny"'),
        (DIAMOND.replace("0 3 * * *", "every night"), "schedule: "),
        ("{", "project.yaml: "),
    ],
)
def test_a_broken_project_is_a_dag_that_says_what_is_wrong(dags, text, said):
    dag = only(dags(text))
    assert dag.dag_id == "tiny"
    assert "(broken)" in dag.dag_display_name
    assert "broken" in dag.tags
    assert said in dag.description
    assert said in dag.doc_md
    task = only(dag.tasks)
    with pytest.raises(PipelineError, match="hint: ") as caught:
        task.execute({})
    assert said in str(caught.value)


def test_a_project_whose_folder_is_gone_is_a_dag_that_says_so(home, register_project):
    register_project(home / "gone", "tiny")
    dag = only(dags_of(home / "projects" / "tiny.json"))
    assert "there is no such file" in dag.description


def test_a_registration_that_is_no_json_breaks_no_other(home, make_project, register_project):
    register_project(make_project(), "tiny")
    (home / "projects" / "bad.json").write_text("{")
    namespace = {}
    register(namespace)
    assert sorted(namespace) == ["dag_bad", "dag_tiny"]
    assert "broken" in namespace["dag_bad"].tags
    assert "broken" not in namespace["dag_tiny"].tags


def test_projects_of_a_folder_need_no_registration_and_break_no_other(home, make_project):
    folder = make_project().parent
    make_project("name: [", "bad")
    make_project(name="other")  # says that it is named "tiny"
    (folder / "notes").mkdir()
    namespace = {}
    register_folder(namespace, folder)
    assert sorted(namespace) == ["dag_bad", "dag_other", "dag_tiny"]
    broken = {name for name, dag in namespace.items() if "broken" in dag.tags}
    assert broken == {"dag_bad", "dag_other"}


OWN = """
    from pathlib import Path
    from dags.pipeline import build_dag
    from dags.project.definition import Step, load

    project = load(Path(__file__).parent)
    steps = {f"train_{depth}": Step(command=f"train {depth}") for depth in (2, 4)}
    dag = build_dag(project, steps)
"""


def test_a_project_may_bring_its_own_dag(dags):
    dag = only(dags(DIAMOND, dag__py=OWN))
    assert dag.task_dict["train_4"].step.command == "train 4"
    assert sorted(dag.task_dict) == ["end_run", "start_run", "train_2", "train_4"]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_module", "No module named"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise SystemExit(1)", "SystemExit"),
        ("x = (", "SyntaxError"),
        ("x = 1", 'it makes no DAG named "tiny"'),
        ("from airflow.sdk import DAG\ndag = DAG('angler')", 'a DAG is named "angler"'),
    ],
)
def test_a_dag_file_that_fails_is_a_broken_project(dags, code, said):
    dag = only(dags(DIAMOND, dag__py=code))
    assert dag.dag_id == "tiny"
    assert said in dag.description
