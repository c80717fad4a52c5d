"""`deploy diff` and `deploy tree`: objects that would change, and those that there are."""

import pytest

from cli import errors


@pytest.fixture
def changes():
    """What the API tells of objects that would change: one of each sort."""
    found = {"kind": "Deployment", "namespace": "prod", "why": "", "fields": []}
    field = {"path": "spec.replicas", "before": 3, "after": 1}
    added = {"path": "metadata.labels.team", "before": None, "after": "1"}
    gone = {"path": "data[a.json]", "before": {"b": "c"}, "after": None}
    return {
        "deployment": "angler-prod",
        "model": "angler",
        "environment": "prod",
        "digest": "5eed",
        "unknown": ["The image of version 3 is not built yet."],
        "objects": [
            {**found, "action": "create", "name": "new"},
            {**found, "action": "update", "name": "changed", "fields": [field, added, gone]},
            {**found, "action": "delete", "name": "old", "why": "nothing needs it any more"},
            {**found, "action": "conflict", "kind": "Service", "name": "theirs",
             "why": "Service/theirs is there already, and was not made by Schnitzel"},
        ],
    }  # fmt: skip


def test_a_diff_shows_each_object_and_its_fields_before_and_after(
    schnitzel, deployer, changes
) -> None:
    deployer.answer("GET", "/api/v1/deployments/angler-prod/diff", changes)
    shown = schnitzel("deploy", "diff", "angler@prod")
    assert shown.code == 0
    assert shown.out.splitlines() == [
        "angler@prod  1 to make, 1 to change, 1 to delete, 1 foreign",
        "+ Deployment/new in prod is made",
        "~ Deployment/changed in prod changes",
        "    spec.replicas: 3 -> 1",
        "    + metadata.labels.team: '1'",
        "    - data[a.json]:",
        "    -   b: c",
        "- Deployment/old in prod: nothing needs it any more",
        "! Service/theirs in prod is there already, and was not made by Schnitzel",
        "to adopt the foreign objects: schnitzel deploy apply angler@prod --adopt",
        "not known yet: The image of version 3 is not built yet.",
        "digest  5eed",
    ]
    assert schnitzel("deploy", "diff", "-o", "json").json == {"diffs": [changes]}


@pytest.mark.parametrize(("objects", "code"), [(True, errors.PENDING), (False, errors.OK)])
def test_a_diff_tells_a_script_whether_anything_would_change(
    schnitzel, deployer, changes, objects: bool, code: int
) -> None:
    found = changes if objects else {**changes, "objects": [], "unknown": []}
    deployer.answer("GET", "/api/v1/deployments/angler-prod/diff", found)
    shown = schnitzel("deploy", "diff", "--exit-code")
    assert shown.code == code
    if not objects:
        assert shown.out == "angler@prod  no object changes\n"


def test_a_diff_that_cannot_be_made_is_a_failure_and_says_why(schnitzel, deployer) -> None:
    refusal = {"error": "The cluster is away.", "hint": "schnitzel cluster check"}
    deployer.answer("GET", "/api/v1/deployments/angler-prod/diff", refusal, 503)
    shown = schnitzel("deploy", "diff", "angler")
    assert (shown.code, shown.out) == (errors.FAILED, "")
    assert "hint: schnitzel cluster check" in shown.err


def test_a_tree_shows_what_belongs_to_what_and_what_is_wrong(schnitzel, deployer) -> None:
    node = {"status": "", "ready": "", "detail": "", "trouble": "", "children": []}
    pod = {**node, "kind": "Pod", "name": "p", "status": "ImagePullBackOff", "ready": "0/1",
           "trouble": "There is no such image."}  # fmt: skip
    made = {**node, "kind": "Deployment", "name": "d", "ready": "0/1", "children": [pod]}
    route = {**node, "kind": "HTTPRoute", "name": "r", "status": "Accepted", "detail": "d 100 %"}
    root = {**node, "kind": "ModelDeployment", "name": "angler-prod", "children": [made, route]}
    found = {"deployment": "angler-prod", "model": "angler", "environment": "prod", "root": root}
    deployer.answer("GET", "/api/v1/deployments/angler-prod/tree", found)
    shown = schnitzel("deploy", "tree", "angler")
    assert shown.code == 0
    assert shown.out.splitlines() == [
        "angler@prod",
        "ModelDeployment/angler-prod",
        "├── Deployment/d  0/1",
        "│   └── Pod/p  0/1  ImagePullBackOff",
        "│         ! There is no such image.",
        "└── HTTPRoute/r  Accepted  d 100 %",
    ]
    assert schnitzel("deploy", "tree", "angler", "-o", "json").json == found


def test_to_adopt_names_what_is_taken_over_and_is_tied_to_the_plan_that_was_shown(
    schnitzel, deployer, deployment, plan, changes
) -> None:
    found = plan(pending=True, changes=[], objects=changes["objects"])
    deployer.answer("GET", "/api/v1/deployments/angler-prod/plan", found)
    deployer.answer("POST", "/api/v1/deployments/angler-prod/apply", deployment())
    done = schnitzel("deploy", "apply", "angler", "--adopt", "--yes")
    assert done.code == 0
    assert "Service/theirs is there already" in done.err
    body = deployer.requests("POST")[0]["body"]
    assert (body["adopt"], body["plan"]) == (True, "sha256:5eed")


def test_a_plan_with_no_digest_is_not_applied_for_it_cannot_be_confirmed(
    schnitzel, deployer, plan
) -> None:
    found = plan(digest="", objects=[])
    deployer.answer("GET", "/api/v1/deployments/angler-prod/plan", found)
    done = schnitzel("deploy", "apply", "angler", "--yes")
    assert done.code == errors.FAILED
    assert "cannot be seen now" in done.err
    assert not deployer.requests("POST")


def test_status_shows_ready_replicas_and_the_notes_of_the_spec(
    schnitzel, deployer, deployment
) -> None:
    [predictor] = deployment()["predictors"]
    noted = deployment(
        predictors=[{**predictor, "replicas": 3, "replicas_ready": 2}],
        notes=["image is for a cluster."],
    )
    deployer.answer("GET", "/api/v1/deployments", {"deployments": [noted], "registry": {}})
    shown = schnitzel("deploy", "status", "angler").out
    assert "2/3" in shown
    assert "note: image is for a cluster." in shown
