"""What a watcher can know of a SeldonDeployment: from single objects, without a cluster."""

import copy

import pytest
from seldon_judging import MARK, Where, judge

RESOURCE = {
    "metadata": {"name": "p"},
    "spec": {"predictors": [{"name": "main", "annotations": {MARK: "2"}}]},
    "status": {"state": "Available"},
}
DEPLOYMENT = {
    "metadata": {"generation": 4, "annotations": {MARK: "2"}},
    "spec": {"replicas": 2},
    "status": {
        "observedGeneration": 4,
        "replicas": 2,
        "updatedReplicas": 2,
        "availableReplicas": 2,
        "readyReplicas": 2,
    },
}
SERVICE = {"spec": {"selector": {"seldon-app": "p-main"}}}


def deployment(mark="2", generation=4, replicas=2, conditions=(), **counts):
    found = copy.deepcopy(DEPLOYMENT)
    found["metadata"] |= {"generation": generation, "annotations": {MARK: mark}}
    found["spec"]["replicas"] = replicas
    found["status"] |= {**counts, "conditions": list(conditions)}
    return found


def condition(kind, status, reason):
    return {"type": kind, "status": status, "reason": reason}


LATE = condition("Progressing", "False", "ProgressDeadlineExceeded")


@pytest.mark.parametrize(
    ("deployments", "services", "where", "serving"),
    [
        ([deployment()], [SERVICE], Where.READY, True),
        ([deployment(mark="1")], [SERVICE], Where.WAITING, True),
        ([deployment(mark="1"), deployment()], [SERVICE], Where.READY, True),
        ([deployment(generation=5)], [SERVICE], Where.ROLLING, True),
        ([deployment(replicas=3)], [SERVICE], Where.ROLLING, True),
        ([deployment(updatedReplicas=1, replicas=2)], [SERVICE], Where.ROLLING, True),
        ([deployment(conditions=[LATE], updatedReplicas=1)], [SERVICE], Where.STUCK, True),
        ([deployment(conditions=[LATE], readyReplicas=0)], [SERVICE], Where.STUCK, False),
        ([deployment(conditions=[LATE], generation=5)], [SERVICE], Where.ROLLING, True),
        ([deployment(generation=1139)], [SERVICE], Where.LOOPING, True),
        ([deployment()], [], Where.UNREACHABLE, True),
        ([deployment()], [{"spec": {"selector": {"seldon-app": "q"}}}], Where.UNREACHABLE, True),
        ([deployment(replicas=0)], [SERVICE], Where.ROLLING, True),
    ],
)
def test_it_is_read_of_the_deployment_that_has_the_mark(deployments, services, where, serving):
    for state in ("Available", "Creating", "Failed"):  # whatever the state says
        found = judge(RESOURCE | {"status": {"state": state}}, deployments, services)
        if where is Where.WAITING and state == "Failed":
            continue
        assert (found.where, found.serving) == (where, serving)


@pytest.mark.parametrize(
    ("status", "where", "said"),
    [
        ({"state": "Failed", "description": "Failed to get server config for X"},
         Where.REFUSED, "Failed to get server config for X"),
        ({"state": "Available"}, Where.REFUSED, "makes no Deployment"),
        ({"state": "Creating"}, Where.WAITING, "not taken this revision up"),
        ({}, Where.WAITING, "not taken this revision up"),
    ],
)  # fmt: skip
def test_without_a_deployment_the_state_is_all_there_is(status, where, said):
    found = judge(RESOURCE | {"status": status}, [], [])
    assert found.where is where
    assert said in found.message
