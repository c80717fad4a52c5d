"""What an API server answers, and the error that it stands for. The answers are real ones."""

from __future__ import annotations

import json

import pytest

from deployer.targets.kubernetes.client.errors import (
    AdmissionRefused,
    AdmissionUnavailable,
    AlreadyExists,
    ApiError,
    ApiRequest,
    ClusterRestored,
    Conflict,
    Forbidden,
    Gone,
    Immutable,
    Invalid,
    Missing,
    Unauthenticated,
    Unavailable,
    error_of,
)

ASKED = ApiRequest("create", "pods", "prod", "one")


def error(code: int, message: str = "", reason: str = "", **details: object) -> ApiError:
    told = {"kind": "Status", "message": message, "reason": reason, "details": details}
    return error_of(ASKED, code, {}, json.dumps(told).encode(), "cluster:6443")


@pytest.mark.parametrize(
    ("found", "kind", "transient"),
    [
        (error(401, "Unauthorized", "Unauthorized"), Unauthenticated, True),
        (
            error(
                403,
                'pods "one" is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, '
                "limited: pods=2",
                "Forbidden",
            ),
            AdmissionRefused,
            True,
        ),
        (
            error(
                403,
                'pods "one" is forbidden: violates PodSecurity "restricted:latest": host '
                "namespaces (hostNetwork=true)",
                "Forbidden",
            ),
            AdmissionRefused,
            True,
        ),
        (
            error(400, 'admission webhook "policy.example" denied the request: no latest tag'),
            AdmissionRefused,
            True,
        ),
        (
            error(
                500,
                'Internal error occurred: failed calling webhook "policy.example": failed to call '
                'webhook: Post "https://127.0.0.1:1/": connect: connection refused',
                "InternalError",
            ),
            AdmissionUnavailable,
            True,
        ),
        (
            error(403, 'User "ann" cannot create resource "pods" in API group ""', "Forbidden"),
            Forbidden,
            True,
        ),
        (error(404, 'pods "one" not found', "NotFound"), Missing, True),
        (error(409, 'pods "one" already exists', "AlreadyExists"), AlreadyExists, True),
        (error(409, "the object has been modified", "Conflict"), Conflict, True),
        (error(410, "too old resource version: 1 (2)", "Expired"), Gone, True),
        (
            error(
                422,
                'ConfigMap "one" is invalid: data: Forbidden: field is immutable when '
                "`immutable` is set",
                "Invalid",
                causes=[{"field": "data"}],
            ),
            Immutable,
            False,
        ),
        (
            error(
                422,
                'ConfigMap "one" is invalid: metadata.uid: Invalid value: "x": field is immutable',
                "Invalid",
                causes=[{"field": "metadata.uid"}, {"field": "metadata.uid"}],
            ),
            Conflict,
            True,
        ),
        (error(422, "spec.replicas: Invalid value: -1", "Invalid"), Invalid, False),
        (error(400, 'strict decoding error: unknown field "spec.x"', "BadRequest"), Invalid, False),
        (error(429, "too many requests", "TooManyRequests"), Unavailable, True),
        (error(500, "etcdserver: request timed out", "InternalError"), Unavailable, True),
        (error(504, "Timeout: Too large resource version: 9, current: 5"), ClusterRestored, True),
        (error(504, "Timeout: request did not complete", "Timeout"), Unavailable, True),
    ],
)
def test_each_answer_is_the_error_that_one_can_act_on(found, kind, transient):
    assert type(found) is kind
    assert found.transient is transient
    assert "pods" in found.message or kind is Unauthenticated


@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>", b"[]", b'{"details": 3}'])
@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 410, 418, 422, 429, 500, 502, 503])
def test_an_answer_that_is_no_status_is_an_error_all_the_same(code, body):
    found = error_of(ASKED, code, {}, body, "cluster:6443")
    assert isinstance(found, ApiError)
    assert found.message


@pytest.mark.parametrize(
    ("user", "given"),
    [
        ("system:serviceaccount:prod:deployer", "--serviceaccount=prod:deployer"),
        ("ann", "--user=ann"),
    ],
)
def test_a_missing_permission_comes_with_the_command_that_grants_it(user, given):
    found = error(403, f'User "{user}" cannot create resource "pods"', "Forbidden")
    assert isinstance(found, Forbidden)
    assert "kubectl create role schnitzel-missing -n prod --verb=create --resource=pods" in (
        found.hint
    )
    assert found.hint.endswith(given)


def test_as_long_as_the_server_asks_to_wait_is_known():
    told = error_of(ASKED, 429, {"Retry-After": "7"}, b"", "cluster:6443")
    assert isinstance(told, Unavailable)
    assert told.retry_after == 7
    later = error(500, "later", retryAfterSeconds=3)
    assert isinstance(later, Unavailable)
    assert later.retry_after == 3
    never = error_of(ASKED, 429, {"Retry-After": "soon"}, b"", "cluster:6443")
    assert isinstance(never, Unavailable)
    assert never.retry_after is None


def test_a_sentence_of_the_servers_is_not_repeated_without_end():
    assert len(error(422, "x" * 100_000, "Invalid").message) < 1000
