"""The client as it is composed: one pool of connections, senders over it, pods beside objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from support.run.ports import free_port

from deployer.targets.kubernetes.client import kinds
from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import Unavailable

POD = {"metadata": {"namespace": "prod", "name": "p-1"}, "status": {"podIP": "127.0.0.1"}}
STATUS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "message": "no such pod"}


@dataclass
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        return json.dumps(self.body, separators=(",", ":")).encode()


@dataclass
class Session:
    """Connections that give these answers, one after the other, and keep what was sent."""

    answers: list[Answer | Exception]
    host: str = "api.example:6443"
    sent: list[tuple[str, str, float]] = field(default_factory=list)

    def request(self, method: str, path: str, *parts: Any, **named: Any) -> Answer:
        self.sent.append((method, path, named.get("seconds") or parts[-1]))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def of(*answers: Answer | Exception, direct: bool = False) -> tuple[Client, Session]:
    session: Any = Session(list(answers))
    return Client(session, direct=direct), session


def refuse() -> None:
    raise Unavailable("The Lease is not held.")


def test_a_pods_own_answer_is_given_back_whatever_its_status():
    client, session = of(Answer(503, {"live": False}), Answer(200, [1]))
    assert json.loads(client.pods.get(POD, 8080, "/v2/health/ready")) == {"live": False}
    assert client.pods.post(POD, 8080, "/invocations")(b"{}", 7.0) == (200, b"[1]")
    path = "/api/v1/namespaces/prod/pods/p-1:8080/proxy"
    assert session.sent == [
        ("GET", f"{path}/v2/health/ready", 2.0),
        ("POST", f"{path}/invocations", 7.0),
    ]


def test_a_pod_that_the_api_server_does_not_reach_gives_no_answer_and_is_asked_once():
    client, session = of(Answer(503, STATUS), Unavailable("away"))
    assert client.pods.get(POD, 8080, "/") == b""
    with pytest.raises(httpx.ConnectError, match="away"):
        client.pods.post(POD, 8080, "/")(b"{}", 1.0)
    assert len(session.sent) == 2


def test_a_pod_is_asked_at_its_own_address_where_that_is_reached():
    client, session = of(direct=True)
    pods = client.with_guard(refuse).pods
    nobody = {**POD, "status": {}}
    with pytest.raises(httpx.ConnectError, match="no address"):
        pods.post(nobody, free_port(), "/")(b"", 1.0)
    with pytest.raises(httpx.ConnectError):
        pods.post(POD, free_port(), "/")(b"", 1.0)
    assert session.sent == []


def test_a_guard_stands_before_writes_alone_and_a_request_to_a_pod_is_none():
    client, session = of(Answer(200, {"metadata": {"name": "one"}}), Answer(200, "ok"))
    guarded = client.with_guard(refuse)
    assert guarded.get(kinds.SERVICE, "prod", "one")["metadata"]["name"] == "one"
    assert guarded.pods.post(POD, 8080, "/invocations")(b"{}", 1.0)[0] == 200
    with pytest.raises(Unavailable, match="Lease"):
        guarded.delete(kinds.SERVICE, "prod", "one", uid="u")
    assert [method for method, _, _ in session.sent] == ["GET", "POST"]


def test_a_hurried_client_tries_once_for_so_long_over_the_same_connections():
    client, session = of(Unavailable("away"))
    with pytest.raises(Unavailable, match="away"):
        client.with_timeout(2.5).get(kinds.LEASE, "prod", "one")
    assert [seconds for _, _, seconds in session.sent] == [2.5]
    assert client.with_timeout(1).host == "api.example:6443"
