"""`status` and its next step; `open`; `predict` and what it says of the version that answered."""

from dataclasses import asdict

import pytest

from cli import errors
from cli.views.next_step import next_step
from stack.components.status import Status

WELL = [Status(name, "http://x", "healthy", "") for name in ("mlflow", "airflow")]
FRESH = {"state": "Fresh", "next_step": "", "models": 1}


def test_a_platform_that_never_ran_says_how_to_start_it(schnitzel) -> None:
    shown = schnitzel("status", "-o", "json")
    assert shown.code == 0
    assert shown.json["next_step"] == "schnitzel up"
    assert {each["health"] for each in shown.json["components"]} == {"stopped"}
    assert set(shown.json["components"][0]) == set(asdict(WELL[0]))
    assert schnitzel("status").out.rstrip().endswith("schnitzel up")


def test_of_a_platform_elsewhere_only_what_is_known_is_looked_at(
    schnitzel, deployer, monkeypatch
) -> None:
    monkeypatch.setenv("SCHNITZEL_DEPLOYER_URL", deployer.url)
    deployer.answer("GET", "/readyz", {"ready": True})
    deployer.answer("GET", "/openapi.json", {"info": {"version": "0.1.0"}})
    shown = schnitzel("status", "-o", "json")
    [seen] = shown.json["components"]
    assert (seen["name"], seen["health"], seen["attached"]) == ("deployer", "healthy", True)
    assert shown.json["next_step"] == "schnitzel predict angler@prod --example"


def test_deployments_are_shown_beside_the_components(schnitzel, deployer) -> None:
    shown = schnitzel("status", "-o", "json")
    assert [each["id"] for each in shown.json["deployments"]] == ["angler-prod"]
    assert "angler@prod" in schnitzel("status").out


def test_a_problem_of_the_registry_is_shown(schnitzel, deployer, deployment) -> None:
    registry = {"state": "Frozen", "message": "The registry lost its marker.", "next_step": "look"}
    deployer.answer(
        "GET", "/api/v1/deployments", {"deployments": [deployment()], "registry": registry}
    )
    assert "Frozen  The registry lost its marker." in schnitzel("status").out


@pytest.mark.parametrize("health", ["stopped", "unhealthy", "starting"])
def test_a_component_s_problem_comes_first(deployment, health: str) -> None:
    ill = [*WELL, Status("gateway", "", health, "")]
    step = {"stopped": "up", "unhealthy": "doctor", "starting": "status"}[health]
    assert next_step(ill, FRESH, [deployment(state="Failed")], []) == f"schnitzel {step}"


def test_the_worst_deployment_comes_next(deployment) -> None:
    serving, failed = deployment(), deployment(state="Failed", next_step="fix it")
    assert next_step(WELL, FRESH, [serving, failed], []) == "angler@prod: fix it"
    rolling = deployment(state="Progressing")
    assert next_step(WELL, FRESH, [serving, rolling], []) == "schnitzel deploy wait angler@prod"
    paused = deployment(sync="Paused")
    assert next_step(WELL, FRESH, [paused], []) == "schnitzel deploy resume angler@prod"


def test_a_sentence_of_the_deployers_names_its_deployment(deployment) -> None:
    broken = deployment(state="Failed", next_step="Log the model with its signature")
    said = "angler@prod: Log the model with its signature"
    assert next_step(WELL, FRESH, [broken], []) == said
    named = deployment(state="Failed", next_step="schnitzel deploy apply angler -e prod --retry")
    assert next_step(WELL, FRESH, [named], []) == named["next_step"]


def test_a_name_that_looks_like_a_flag_comes_after_two_dashes(deployment) -> None:
    dash = deployment(model="-dash")
    assert next_step(WELL, FRESH, [dash], []) == "schnitzel predict --example -- -dash@prod"


def test_then_the_golden_path(deployment) -> None:
    empty = {**FRESH, "models": 0}
    assert next_step(WELL, None, [], []) == "schnitzel project add FOLDER"
    assert next_step(WELL, empty, [], ["angler"]) == "schnitzel train angler"
    promote = "schnitzel model promote NAME@VERSION --to prod"
    assert next_step(WELL, FRESH, [], ["angler"]) == promote
    predict = "schnitzel predict angler@prod --example"
    assert next_step(WELL, FRESH, [deployment()], ["angler"]) == predict


@pytest.mark.parametrize(("page", "port"), [("mlflow", 5055), ("overview", 8090)])
def test_open_prints_a_page_s_url(schnitzel, home, page: str, port: int) -> None:
    (home / "ports.json").write_text('{"mlflow": 5055}')
    assert schnitzel("open", page, "--print").out == f"http://127.0.0.1:{port}/\n"


def test_open_keeps_the_password_out_of_a_log(schnitzel, home) -> None:
    (home / "secrets").mkdir()
    (home / "secrets" / "airflow-passwords.json").write_text('{"admin": "s3cret"}')
    shown = schnitzel("open", "airflow", "--print")
    assert shown.out == "http://127.0.0.1:8080/\n"
    assert "admin" in shown.err
    assert "s3cret" not in shown.err


def test_open_knows_a_model_s_endpoint(schnitzel, deployer) -> None:
    shown = schnitzel("open", "angler", "--print")
    assert shown.out == "http://127.0.0.1:8000/prod/angler/\n"
    mistyped = schnitzel("open", "anglr", "--print")
    assert mistyped.code == errors.USAGE
    assert "did you mean 'angler'?" in mistyped.err


@pytest.fixture
def served(deployer, deployment):
    """The loopback server stands for the gateway, too."""
    here = deployment(url=f"{deployer.url}/prod/angler/")
    deployer.answer("GET", "/api/v1/deployments", {"deployments": [here], "registry": {}})
    deployer.answer("POST", "/prod/angler/invocations", {"predictions": [0.93]})
    return deployer


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ('{"inputs": [[1, 2]]}', {"inputs": [[1, 2]]}),
        ('{"dataframe_split": {"data": []}}', {"dataframe_split": {"data": []}}),
        ('[{"a": 1}]', {"dataframe_records": [{"a": 1}]}),
        ("[[1, 2]]", {"inputs": [[1, 2]]}),
    ],
)
def test_predict_prints_the_answer_and_says_which_version_gave_it(
    schnitzel, served, typed: str, sent: object
) -> None:
    shown = schnitzel("predict", "angler@prod", "--input", "-", stdin=typed)
    assert shown.code == 0
    assert shown.json == {"predictions": [0.93]}
    assert shown.err == "angler@prod version 2 answered\n"
    assert served.requests("POST")[0]["body"] == sent


def test_predict_reads_a_file(schnitzel, served, tmp_path) -> None:
    (tmp_path / "pages.json").write_text('{"instances": [1]}')
    assert schnitzel("predict", "angler", "--input", tmp_path / "pages.json").code == 0


def test_predict_sends_a_csv_file_as_it_is(schnitzel, served, tmp_path) -> None:
    (tmp_path / "pages.csv").write_text("\ufeffzip,age\n007,1\n", encoding="utf-8")
    assert schnitzel("predict", "angler", "--input", tmp_path / "pages.csv").code == 0
    (sent,) = served.requests("POST")
    assert sent["headers"]["Content-Type"] == "text/csv"
    assert sent["raw"] == b"zip,age\n007,1\n"


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        ((), "", "give an input"),
        (("--example", "--input", "-"), "", "give an input"),
        (("--input", "-"), "{nonsense", "is no JSON"),
        (("--input", "-"), '{"input": []}', "has none of: inputs"),
        (("--input", "absent.json"), "", "No such file"),
    ],
)
def test_an_input_that_makes_no_sense_is_a_usage_error(
    schnitzel, served, words: tuple[str, ...], stdin: str, message: str
) -> None:
    shown = schnitzel("predict", "angler", *words, stdin=stdin)
    assert shown.code == errors.USAGE
    assert message in shown.err
    assert not served.requests("POST")


def test_what_serves_nothing_answers_nothing(schnitzel, served, deployment) -> None:
    retired = deployment(state="Retired", serving=None, wanted=None, message="Nothing is promoted.")
    served.answer("GET", "/api/v1/deployments", {"deployments": [retired], "registry": {}})
    shown = schnitzel("predict", "angler", "--input", "-", stdin="[1]")
    assert shown.code == errors.FAILED
    assert "serves nothing" in shown.err


def test_a_refused_input_shows_the_server_s_words(schnitzel, served) -> None:
    served.answer("POST", "/prod/angler/invocations", {"error": "column 'a' is missing"}, 400)
    shown = schnitzel("predict", "angler", "--input", "-", stdin="[1]")
    assert shown.code == errors.FAILED
    assert "column 'a' is missing" in shown.err
