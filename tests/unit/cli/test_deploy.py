"""`deploy`: what it prints of the Deployer's answers, and its exit codes."""

import time
from datetime import UTC, datetime

import pytest

from cli import errors


def test_the_list_shows_wanted_beside_serving(schnitzel, deployer) -> None:
    shown = schnitzel("deploy", "list")
    assert shown.code == 0
    header, row = shown.out.splitlines()
    assert header.split()[:5] == ["DEPLOYMENT", "STATE", "SYNC", "WANTED", "SERVING"]
    assert row.split()[:5] == ["angler@prod", "Serving", "InSync", "2", "2"]


def test_json_is_the_api_s_and_alone_on_standard_output(schnitzel, deployer, deployment) -> None:
    shown = schnitzel("deploy", "list", "-o", "json")
    assert shown.json == {"deployments": [deployment()]}


def test_yaml_says_the_same(schnitzel, deployer, deployment) -> None:
    import yaml

    shown = schnitzel("deploy", "status", "angler", "-o", "yaml")
    assert yaml.safe_load(shown.out) == {"deployments": [deployment()]}


def test_status_shows_reason_message_and_next_step(schnitzel, deployer, deployment) -> None:
    broken = deployment(
        state="Degraded",
        reason="LoadError",
        message="Version 3 cannot be served: no module named lightgbm; version 2 keeps serving.",
        next_step="Fix it and register a new version",
        wanted={"version": "3", "via": "stage Production", "since": None},
        losing=[{"version": "1", "via": "stage Production", "message": "an older promotion"}],
    )
    deployer.answer("GET", "/api/v1/deployments", {"deployments": [broken], "registry": {}})
    shown = schnitzel("deploy", "status", "angler@prod").out
    for words in ("Degraded", "LoadError", "lightgbm", "Fix it", "version 3 by stage Production"):
        assert words in shown
    assert "version 1: an older promotion" in shown
    assert "angler-prod-v2-1a2b3c4d" in shown


def test_status_shows_what_serves_each_version(schnitzel, deployer, deployment) -> None:
    [ours] = deployment()["predictors"]
    theirs = ours | {"name": "angler-prod-v3-5e6f7a8b", "version": "3", "runtime": "tfserving"}
    moving = deployment(predictors=[ours, theirs])
    deployer.answer("GET", "/api/v1/deployments", {"deployments": [moving], "registry": {}})
    lines = schnitzel("deploy", "status", "angler@prod").out.splitlines()
    runtimes = [line.split()[2] for line in lines if line.startswith("angler-prod-v")]
    assert runtimes == ["mlflow", "tfserving"]


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("anglr", "did you mean 'angler'?"),
        ("angler@prd", "it is deployed in: prod"),
        ("unheard-of", "see what there is: schnitzel deploy list"),
    ],
)
def test_an_unknown_deployment_is_answered_with_the_closest(
    schnitzel, deployer, typed: str, hint: str
) -> None:
    shown = schnitzel("deploy", "logs", typed)
    assert shown.code == errors.USAGE
    assert f"hint: {hint}" in shown.err


def test_a_model_in_two_environments_must_be_told_apart(schnitzel, deployer, deployment) -> None:
    both = [deployment(), deployment(id="angler-staging", environment="staging")]
    deployer.answer("GET", "/api/v1/deployments", {"deployments": both, "registry": {}})
    shown = schnitzel("deploy", "logs", "angler")
    assert shown.code == errors.USAGE
    assert "name one of: angler@prod, angler@staging" in shown.err
    assert schnitzel("deploy", "logs", "angler", "-e", "prod").out == "loading\nready\n"
    assert schnitzel("deploy", "logs", "angler@prod").code == 0


def test_the_environment_may_come_from_the_settings(
    schnitzel, deployer, deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [deployment(id="angler-staging", environment="staging"), deployment()]
    deployer.answer("GET", "/api/v1/deployments", {"deployments": both, "registry": {}})
    monkeypatch.setenv("SCHNITZEL_ENVIRONMENT", "prod")
    assert schnitzel("deploy", "logs", "angler").code == 0


def test_a_plan_shows_each_change_with_its_reason(schnitzel, deployer) -> None:
    shown = schnitzel("deploy", "plan")
    assert shown.code == 0
    assert "start   version 3: version 3 is promoted by alias champion" in shown.out
    assert "sha256:5eed" in shown.out


@pytest.mark.parametrize(("pending", "code"), [(True, errors.PENDING), (False, errors.OK)])
def test_exit_code_tells_a_script_whether_changes_are_pending(
    schnitzel, deployer, plan, pending: bool, code: int
) -> None:
    found = plan(pending=pending)
    deployer.answer("GET", "/api/v1/deployments/angler-prod/plan", found)
    shown = schnitzel("deploy", "plan", "angler@prod", "--exit-code", "-o", "json")
    assert shown.code == code
    assert shown.json == {"plans": [found]}


def test_an_unsafe_plan_says_so(schnitzel, deployer, plan) -> None:
    unsafe = {"reason": "TooManyRetirements", "message": "2 of 3 would go", "hint": "allow it"}
    deployer.answer("GET", "/api/v1/deployments/angler-prod/plan", plan(unsafe=unsafe))
    shown = schnitzel("deploy", "plan").out
    assert "TooManyRetirements: 2 of 3 would go" in shown
    assert "allow it" in shown


def test_apply_asks_for_a_yes_and_sends_the_plan_that_was_shown(
    schnitzel, deployer, deployment
) -> None:
    deployer.answer("POST", "/api/v1/deployments/angler-prod/apply", deployment())
    refused = schnitzel("deploy", "apply", "angler")
    assert refused.code == errors.USAGE
    assert "--yes" in refused.err
    assert not deployer.requests("POST")
    assert schnitzel("deploy", "apply", "angler", "--yes").code == 0
    (sent,) = deployer.requests("POST")
    assert sent["body"] == {
        "plan": "sha256:5eed",
        "retry": False,
        "allow_retire": False,
        "adopt": False,
    }
    assert sent["headers"]["Authorization"] == "Bearer s3cret"


def test_apply_of_a_reviewed_plan_asks_nothing(schnitzel, deployer, deployment) -> None:
    deployer.answer("POST", "/api/v1/deployments/angler-prod/apply", deployment())
    done = schnitzel("deploy", "apply", "angler", "--plan", "sha256:other", "-o", "json")
    assert done.code == 0
    assert deployer.requests("POST")[0]["body"]["plan"] == "sha256:other"
    assert done.json["id"] == "angler-prod"


def test_a_plan_that_changed_meanwhile_is_refused(schnitzel, deployer) -> None:
    deployer.answer(
        "POST",
        "/api/v1/deployments/angler-prod/apply",
        {"error": "the plan changed", "hint": "look again: schnitzel deploy plan angler@prod"},
        409,
    )
    done = schnitzel("deploy", "apply", "angler", "--plan", "sha256:old")
    assert done.code == errors.FAILED
    assert "hint: look again" in done.err


def test_with_nothing_pending_apply_changes_nothing(schnitzel, deployer, plan) -> None:
    found = plan(pending=False, changes=[])
    deployer.answer("GET", "/api/v1/deployments/angler-prod/plan", found)
    done = schnitzel("deploy", "apply", "angler")
    assert done.code == 0
    assert "nothing to do" in done.err
    assert not deployer.requests("POST")


@pytest.mark.parametrize("flag", ["--retry", "--allow-retire"])
def test_a_person_s_word_is_sent_even_if_nothing_is_pending(
    schnitzel, deployer, deployment, plan, flag: str
) -> None:
    deployer.answer("GET", "/api/v1/deployments/angler-prod/plan", plan(pending=False, changes=[]))
    deployer.answer("POST", "/api/v1/deployments/angler-prod/apply", deployment())
    assert schnitzel("deploy", "apply", "angler", flag, "--yes").code == 0
    body = deployer.requests("POST")[0]["body"]
    assert body[flag.removeprefix("--").replace("-", "_")] is True


def test_wait_ends_when_what_is_promoted_serves(schnitzel, deployer, deployment, steps) -> None:
    rolling = deployment(
        state="Progressing",
        message="Version 3 is being rolled out.",
        wanted={"version": "3", "via": "alias champion", "since": None},
    )
    there = deployment(
        wanted={"version": "3", "via": "alias champion", "since": None}, serving={"version": "3"}
    )
    deployer.answer("GET", "/api/v1/deployments/angler-prod", steps(rolling, rolling, there))
    done = schnitzel("deploy", "wait", "angler", "-o", "json")
    assert done.code == 0
    assert done.json["serving"] == {"version": "3"}
    assert done.err.count("being rolled out") == 1


def test_wait_gives_up_at_once_on_a_failure_with_the_last_log_lines(
    schnitzel, deployer, deployment
) -> None:
    broken = deployment(
        state="Failed",
        reason="LoadError",
        message="Version 3 cannot be served.",
        next_step="register a new version",
        wanted={"version": "3", "via": "alias champion", "since": None},
        serving=None,
        predictors=[],
    )
    deployer.answer("GET", "/api/v1/deployments/angler-prod", broken)
    deployer.answer("GET", "/api/v1/deployments/angler-prod/logs", "ImportError: lightgbm\n")
    done = schnitzel("deploy", "wait", "angler")
    assert done.code == errors.FAILED
    assert "ImportError: lightgbm" in done.err
    assert "hint: register a new version" in done.err
    assert done.out == ""


def test_wait_goes_on_where_a_failure_passes_by_itself(
    schnitzel, deployer, deployment, steps
) -> None:
    soon = datetime.fromtimestamp(time.time() + 5400, UTC).isoformat()
    broken = deployment(
        state="Failed",
        reason="ArtifactUnreachable",
        message="Version 3 cannot be served: MLflow answers 500.",
        wanted={"version": "3", "via": "alias champion", "since": None},
        serving=None,
        predictors=[],
        retry_at=soon,
    )
    deployer.answer("GET", "/api/v1/deployments", {"deployments": [broken]})
    assert "automatically, in 1 h" in schnitzel("deploy", "status", "angler").out
    deployer.answer("GET", "/api/v1/deployments/angler-prod", steps(broken, broken, deployment()))
    done = schnitzel("deploy", "wait", "angler")
    assert done.code == 0
    assert "MLflow answers 500" in done.err


def test_wait_times_out_with_4(schnitzel, deployer, deployment) -> None:
    rolling = deployment(state="Progressing", message="Building.", serving=None)
    deployer.answer("GET", "/api/v1/deployments/angler-prod", rolling)
    done = schnitzel("deploy", "wait", "angler", "--timeout", "0.1")
    assert done.code == errors.TIMED_OUT
    assert "still Progressing" in done.err


def test_wait_for_a_version_is_not_content_with_another(schnitzel, deployer) -> None:
    done = schnitzel("deploy", "wait", "angler", "--version", "3", "--timeout", "0.1")
    assert done.code == errors.TIMED_OUT


def test_a_paused_deployment_is_not_waited_for(schnitzel, deployer, deployment) -> None:
    paused = deployment(
        sync="Paused", wanted={"version": "3", "via": "alias champion", "since": None}
    )
    deployer.answer("GET", "/api/v1/deployments/angler-prod", paused)
    assert schnitzel("deploy", "wait", "angler").code == errors.FAILED


def test_pause_sends_the_reason_and_suggests_resume(schnitzel, deployer, deployment) -> None:
    deployer.answer("POST", "/api/v1/deployments/angler-prod/pause", deployment(sync="Paused"))
    done = schnitzel("deploy", "pause", "angler", "--reason", "measuring")
    assert done.code == 0
    assert deployer.requests("POST")[0]["body"] == {"reason": "measuring"}
    assert "next: schnitzel deploy resume angler@prod" in done.err


def test_history_shows_who_and_from_which_version_to_which(schnitzel, deployer) -> None:
    event = {
        "sequence": 7,
        "at": "2026-01-02T03:04:05+00:00",
        "deployment": "angler-prod",
        "kind": "outcome",
        "action": "route",
        "from": "1",
        "to": "2",
        "why": "version 2 is ready",
        "who": "unknown (MLflow)",
        "detail": "",
    }
    path = "/api/v1/deployments/angler-prod/history"
    deployer.answer("GET", path, {"events": [event]})
    shown = schnitzel("deploy", "history", "angler", "--limit", 5)
    assert "1 -> 2" in shown.out
    assert "unknown (MLflow)" in shown.out
    assert deployer.asked[-1]["query"] == "limit=5"


def test_a_missing_token_is_exit_5_with_the_way_to_get_one(schnitzel, deployer, home) -> None:
    (home / "token").unlink()
    path = "/api/v1/deployments/angler-prod/resume"
    deployer.answer("POST", path, {"error": "a token is needed", "hint": ""}, 401)
    done = schnitzel("deploy", "resume", "angler")
    assert done.code == errors.UNREACHABLE
    assert "make one with: schnitzel up" in done.err


def test_a_token_may_come_from_the_environment(
    schnitzel, deployer, deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCHNITZEL_TOKEN", "grace:other")
    deployer.answer("POST", "/api/v1/deployments/angler-prod/resume", deployment())
    assert schnitzel("deploy", "resume", "angler").code == 0
    assert deployer.requests("POST")[0]["headers"]["Authorization"] == "Bearer other"


@pytest.mark.parametrize(
    "words",
    [
        ("deploy", "list"),
        ("deploy", "plan"),
        ("model", "list"),
        ("deploy", "wait", "angler"),
        ("predict", "angler", "--example"),
    ],
)
def test_a_platform_that_is_down_is_exit_5_with_the_way_up(
    schnitzel, home, words: tuple[str, ...]
) -> None:
    ports = '{"mlflow": 1, "airflow": 1, "deployer": 1, "gateway": 1, "gateway_api": 1}'
    (home / "ports.json").write_text(ports)
    shown = schnitzel(*words)
    assert shown.code == errors.UNREACHABLE
    assert "hint: start it with: schnitzel up; or say where it runs: export SCHNITZEL_" in shown.err
    assert shown.out == ""


def test_a_hint_can_be_pasted_whatever_the_model_s_name(schnitzel, deployer, deployment) -> None:
    paused = deployment(model="fraud score", id="fraud-score-prod", sync="Paused")
    deployer.answer("GET", "/api/v1/deployments", {"deployments": [paused], "registry": {}})
    deployer.answer("POST", "/api/v1/deployments/fraud-score-prod/pause", paused)
    done = schnitzel("deploy", "pause", "fraud score@prod")
    assert done.err.startswith("fraud score@prod: paused\n")
    assert done.err.endswith("next: schnitzel deploy resume 'fraud score@prod'\n")


def test_status_of_many_is_a_table_and_the_pages_of_those_that_failed(
    schnitzel, deployer, deployment
) -> None:
    many = [deployment(model=f"m{number}", id=f"m{number}-prod") for number in range(90)]
    many[7] |= {"state": "Degraded", "message": "no module named lightgbm"}
    deployer.answer("GET", "/api/v1/deployments", {"deployments": many, "registry": {}})
    shown = schnitzel("deploy", "status").out
    assert len(shown.splitlines()) < 120
    assert shown.count("no module named lightgbm") == 1
    assert "m89@prod" in shown
    assert schnitzel("deploy", "status", "-o", "json").json == {"deployments": many}


def test_a_long_name_does_not_make_the_table_wide(schnitzel, deployer, deployment) -> None:
    long = deployment(model="x" * 125 + "y" * 125)
    deployer.answer("GET", "/api/v1/deployments", {"deployments": [long], "registry": {}})
    _, row = schnitzel("deploy", "list").out.splitlines()
    assert row.split()[0] == "x" * 29 + "…" + "y" * 25 + "@prod"


def test_a_name_that_looks_like_a_flag_is_taken_after_two_dashes(schnitzel, deployer, deployment):
    dash = deployment(model="-dash", next_step="")
    deployer.answer("GET", "/api/v1/deployments", {"deployments": [dash], "registry": {}})
    shown = schnitzel("deploy", "status", "-e", "prod", "--", "-dash")
    assert shown.out.startswith("-dash@prod")
