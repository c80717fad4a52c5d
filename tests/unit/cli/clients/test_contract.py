"""The command line asks the Deployer for nothing that the pinned schema does not promise.

Each command runs against recorded answers that fit the schema; every path, parameter and field
that it asks for is looked up there.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cli.clients.http import Reply, Service

SCHEMA = json.loads((Path(__file__).parents[3] / "contract" / "openapi.json").read_text())


def resolve(shape: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference; of "this or null" take this."""
    if "$ref" in shape:
        return resolve(SCHEMA["components"]["schemas"][shape["$ref"].rpartition("/")[2]])
    for choice in shape.get("anyOf", []):
        if choice != {"type": "null"}:
            return resolve(choice)
    return shape


def fits(value: Any, shape: dict[str, Any]) -> None:
    Draft202012Validator({**shape, "components": SCHEMA["components"]}).validate(value)


class Promised(dict):
    """An object that may only be asked for what its shape has."""

    def __init__(self, value: dict[str, Any], shape: dict[str, Any]) -> None:
        super().__init__(value)
        self._shape = shape

    def _inner(self, key: str, value: Any) -> Any:
        inner = self._shape.get("properties", {}).get(key)
        if inner is None:
            more = self._shape.get("additionalProperties")
            assert isinstance(more, dict), f"{self._shape.get('title')} promises no {key!r}"
            inner = more
        return promised(value, inner)

    def __getitem__(self, key: str) -> Any:
        return self._inner(key, super().__getitem__(key))

    def get(self, key: str, default: Any = None) -> Any:
        return self._inner(key, super().get(key, default))


def promised(value: Any, shape: dict[str, Any]) -> Any:
    shape = resolve(shape)
    if not shape.keys() - {"title", "description"}:
        return value  # anything may be in it
    if isinstance(value, dict):
        return Promised(value, shape)
    if isinstance(value, list):
        return [promised(each, shape.get("items", {})) for each in value]
    return value


class PromisedReply(Reply):
    shape: dict[str, Any]

    def json(self) -> Any:
        return promised(super().json(), self.shape)


def operation(method: str, path: str) -> dict[str, Any]:
    for template, methods in SCHEMA["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method.lower() in methods:
            found: dict[str, Any] = methods[method.lower()]
            return found
    raise AssertionError(f"the schema has no {method} {path}")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Hold every request to the Deployer, and what is read of its answer, against the schema."""
    seen: set[str] = set()
    send = Service.send

    def held(self: Service, method: str, path: str, **rest: Any) -> Reply:
        reply = send(self, method, path, **rest)
        if self.name != "the Deployer":
            return reply
        said = operation(method, path)
        seen.add(f"{method} {said['operationId'].partition('_api_')[0]}")
        known = {each["name"] for each in said.get("parameters", []) if each["in"] == "query"}
        assert set(rest.get("params") or {}) <= known
        if rest.get("body") is not None:
            content = said.get("requestBody", {}).get("content", {})
            shape = content.get("application/json", {}).get("schema", {"maxProperties": 0})
            fits(rest["body"], shape)
            assert set(rest["body"]) <= set(resolve(shape).get("properties", {}))
        shape = said["responses"]["200"]["content"].get("application/json", {}).get("schema", {})
        if shape:
            fits(reply.json(), shape)
        checked = PromisedReply(reply.status, reply.headers, reply.body)
        object.__setattr__(checked, "shape", shape)
        return checked

    monkeypatch.setattr(Service, "send", held)
    return seen


@pytest.fixture
def whole(deployer, deployment, plan, rollout):
    """The Deployer's loopback stand-in, with answers that are whole."""
    registry = {
        "url": "http://127.0.0.1:5000", "state": "Frozen", "reason": "RegistryFrozen",
        "message": "It went back in time.", "next_step": "schnitzel registry accept",
        "listed_at": "2026-01-02T03:05:05.000+00:00", "age_seconds": 3.5, "models": 1,
        "webhooks": True,
    }  # fmt: skip
    found = deployment(
        url=f"{deployer.url}/prod/angler/",
        losing=[
            {
                "version": "1",
                "via": "stage Production",
                "message": "promoted earlier",
                "touched_at": None,
            }
        ],
        rollout=rollout(),
        paused={"by": "ada", "at": "2026-01-02T03:05:05+00:00", "reason": "measuring"},
    )
    itself = {"version": "0.1.0", "platform": "p-1", "queue_depth": 0}
    overview = {"deployments": [found], "registry": registry, "deployer": itself}
    environment = {
        "name": "prod", "stage": "Production", "alias": "champion", "target": "local",
        "namespace": "prod", "held_by": None, "policy": {}, "overlay": {},
    }  # fmt: skip
    event = {
        "sequence": 7, "at": "2026-01-02T03:04:05+00:00", "deployment": "angler-prod",
        "kind": "intent", "action": "shift", "from": "1", "to": "2", "why": "it is ready",
        "who": "deployer", "detail": "",
    }  # fmt: skip
    unsafe = {"reason": "TooManyRetirements", "message": "2 of 3 would go", "hint": "allow it"}
    whose = {"deployment": "angler-prod", "model": "angler", "environment": "prod"}
    changes = {name: plan()[name] for name in ("digest", "objects", "unknown")}
    diff = {**whose, **changes}
    leaf = {"kind": "Pod", "name": "p", "status": "Running", "ready": "1/1", "detail": "on n1",
            "trouble": "it is slow", "children": []}  # fmt: skip
    tree = {**whose, "root": {**leaf, "kind": "ModelDeployment", "children": [leaf]}}
    one = "/api/v1/deployments/angler-prod"
    for method, path, answer in (
        ("GET", "/api/v1/deployments", overview),
        ("GET", one, found),
        ("GET", f"{one}/plan", plan(unsafe=unsafe)),
        ("GET", f"{one}/diff", diff),
        ("GET", f"{one}/tree", tree),
        ("GET", f"{one}/history", {"events": [event]}),
        ("GET", "/api/v1/environments", {"environments": [environment]}),
        ("GET", "/api/v1/registry", registry),
        ("POST", "/api/v1/registry/accept", {"accepted": True}),
        ("POST", f"{one}/apply", found),
        ("POST", f"{one}/pause", found),
        ("POST", f"{one}/resume", found),
        ("POST", f"{one}/rollout/advance", found),
        ("POST", f"{one}/rollout/abort", found),
        ("POST", "/api/v1/reconcile", {"looking": True, "for": "ada"}),
    ):
        deployer.answer(method, path, answer)
    deployer.answer("POST", "/prod/angler/invocations", {"predictions": [1]})
    return deployer


COMMANDS = {
    ("deploy", "list"): {"GET deployments"},
    ("deploy", "status"): {"GET deployments"},
    ("deploy", "plan"): {"GET deployments", "GET plan"},
    ("deploy", "diff", "angler"): {"GET deployments", "GET diff"},
    ("deploy", "tree", "angler"): {"GET deployments", "GET tree"},
    ("deploy", "apply", "angler", "--yes"): {"GET deployments", "GET plan", "POST apply"},
    ("deploy", "history", "angler"): {"GET deployments", "GET history"},
    ("deploy", "logs", "angler", "-n", "5"): {"GET deployments", "GET logs"},
    ("deploy", "pause", "angler", "--reason", "why"): {"GET deployments", "POST pause"},
    ("deploy", "resume", "angler"): {"GET deployments", "POST resume"},
    ("deploy", "rollout", "angler"): {"GET deployments"},
    ("deploy", "advance", "angler"): {"GET deployments", "POST advance"},
    ("deploy", "abort", "angler", "--reason", "why"): {"GET deployments", "POST abort"},
    ("deploy", "wait", "angler"): {"GET deployments", "GET deployment"},
    ("env", "list"): {"GET environments"},
    ("registry", "show"): {"GET registry_health"},
    ("registry", "accept", "--yes"): {"GET registry_health", "POST accept"},
    ("open", "angler", "--print"): {"GET deployments"},
    ("predict", "angler", "--input", "-"): {"GET deployments"},
    ("status",): {"GET deployments"},
}


@pytest.mark.parametrize("form", ["table", "json"])
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_asks_for_what_the_schema_promises(
    schnitzel, whole, asked: set[str], words: tuple[str, ...], form: str
) -> None:
    plain = words[:2] == ("deploy", "logs") or words[0] == "open"
    done = schnitzel(*words, *(() if plain else ("-o", form)), stdin="[1]")
    assert done.code == 0, done.err
    assert asked == COMMANDS[words]


def test_the_recorded_answers_of_the_other_tests_fit_the_schema(deployment, plan) -> None:
    fits(deployment(), {"$ref": "#/components/schemas/Deployment"})
    fits(plan(), {"$ref": "#/components/schemas/Plan"})
