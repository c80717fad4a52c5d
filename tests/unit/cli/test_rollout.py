"""A rollout under way, as people see it and act on it."""

from __future__ import annotations

ONE = "/api/v1/deployments/angler-prod"


def test_a_rollout_shows_its_steps_and_what_each_metric_has_shown(
    schnitzel, deployer, deployment, rollout
) -> None:
    deployer.answer("GET", "/api/v1/deployments", {"deployments": [deployment(rollout=rollout())]})
    shown = schnitzel("deploy", "rollout", "angler")
    assert shown.code == 0, shown.err
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert "angler@prod: version 3" in lines
    assert "evidence undecided: errors 0 % of 120 requests" in lines
    assert "5 % 5 min - no_harm done" in lines
    assert any(line.startswith("25 % - 2 h not_worse, an operator now, for ") for line in lines)
    assert "errors undecided 0 % 1 % -3 to 4.7 pp 2 pp 240 requests, about 2 min" in lines
    assert "latency.p99 shown 21 ms 20 ms - 1.2x -" in lines


def test_a_version_that_bakes_shows_what_it_returns_to_and_can_be_taken_back(
    schnitzel, deployer, deployment, rollout
) -> None:
    bake = {"version": "2", "until": "2126-01-01T00:00:00+00:00"}
    found = deployment(rollout=rollout(step=3, bake=bake))
    deployer.answer("GET", "/api/v1/deployments", {"deployments": [found]})
    for verb in ("advance", "abort"):
        deployer.answer("POST", f"{ONE}/rollout/{verb}", found)
    shown = schnitzel("deploy", "rollout", "angler")
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert any(line.startswith("bake version 2 stays warm for ") for line in lines)
    assert any("NEW BEFORE DIFFERENCE" in line for line in lines)
    assert "now" not in shown.out
    assert "version 2 serves again" in schnitzel("deploy", "abort", "angler").err
    assert "version 2 is not kept any more" in schnitzel("deploy", "advance", "angler").err


def test_without_a_rollout_a_sentence_says_so(schnitzel, deployer, deployment) -> None:
    deployer.answer("GET", "/api/v1/deployments", {"deployments": [deployment()]})
    shown = schnitzel("deploy", "rollout", "angler")
    assert shown.out.startswith("no rollout of angler@prod is under way; Version 2 serves all")
    for verb in ("advance", "abort"):
        done = schnitzel("deploy", verb, "angler")
        assert done.code == 0
        assert "no rollout of angler@prod is under way: nothing was changed" in done.err


def test_a_watch_ends_with_the_rollout(
    schnitzel, deployer, deployment, rollout, steps, monkeypatch
) -> None:
    monkeypatch.setattr("cli.commands.deploy.rollout.WATCH_SECONDS", 0.01)
    begun = deployment(rollout=rollout())
    deployer.answer("GET", "/api/v1/deployments", {"deployments": [begun]})
    deployer.answer("GET", ONE, steps(begun, deployment()))
    shown = schnitzel("deploy", "rollout", "angler", "--watch")
    assert shown.code == 0, shown.err
    assert shown.out.count("version 3") == 1
    assert shown.out.rstrip().endswith("Version 2 serves all requests.")


def test_an_order_names_the_candidate_that_was_shown(
    schnitzel, deployer, deployment, rollout
) -> None:
    found = deployment(rollout=rollout())
    deployer.answer("GET", "/api/v1/deployments", {"deployments": [found]})
    for verb in ("advance", "abort", "promote-now"):
        deployer.answer("POST", f"{ONE}/rollout/{verb}", found)
    hurried = schnitzel("deploy", "promote-now", "angler", "--reason", "an incident")
    assert "version 3 takes all of the traffic once it is ready" in hurried.err
    assert "may leave its step" in schnitzel("deploy", "advance", "angler").err
    ended = schnitzel("deploy", "abort", "angler", "--reason", "wrong labels")
    assert "the rollout of version 3 ends" in ended.err
    bodies = [asked["body"] for asked in deployer.requests("POST")]
    assert bodies == [
        {"candidate": "sha256:5eed", "reason": "an incident"},
        {"candidate": "sha256:5eed"},
        {"candidate": "sha256:5eed", "reason": "wrong labels"},
    ]


def judged(**fields) -> dict:
    judgement = {
        "outcome": "pass", "message": "errors 0 % of 480 requests", "metrics": [],
        "since": "2026-01-02T03:04:10+00:00", "until": "2026-01-02T03:14:10+00:00", "requests": 480,
    }  # fmt: skip
    found = {
        "version": "3", "baseline_version": "2", "step": 0, "weight": 25, "bake": False,
        "require": "not_worse", "judgement": judgement, "spec": {},
    }  # fmt: skip
    return found | fields


def test_the_evidence_of_rollouts_is_shown_and_judged_once_more(
    schnitzel, deployer, deployment
) -> None:
    deployer.answer("GET", "/api/v1/deployments", {"deployments": [deployment()]})
    bake = judged(step=2, weight=100, bake=True, require=None)
    deployer.answer("GET", f"{ONE}/evidence", {"replayed": [], "steps": [bake, judged()]})
    shown = schnitzel("deploy", "evidence", "angler")
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert lines[0] == "angler@prod: evidence"
    assert lines[2].startswith("3 bake - ")
    assert lines[3].startswith("3 25 % not_worse ")
    assert lines[3].endswith("ago shown 480 errors 0 % of 480 requests")
    changes = ["latency.p99=1.1x", "errors.worse_by=1pp"]
    deployer.answer("GET", f"{ONE}/evidence", {"replayed": changes, "steps": [judged()]})
    words = [word for change in changes for word in ("--with", change)]
    again = schnitzel("deploy", "evidence", "angler", *words)
    assert "the last rollout, judged with latency.p99=1.1x, errors.worse_by=1pp" in again.out
    assert (
        "with=latency.p99%3D1.1x&with=errors.worse_by%3D1pp"
        in deployer.requests("GET")[-1]["query"]
    )


def test_without_a_judged_rollout_a_sentence_says_so(schnitzel, deployer, deployment) -> None:
    deployer.answer("GET", "/api/v1/deployments", {"deployments": [deployment()]})
    deployer.answer("GET", f"{ONE}/evidence", {"replayed": [], "steps": []})
    assert "no rollout was judged" in schnitzel("deploy", "evidence", "angler").out
