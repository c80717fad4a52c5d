"""In: a pod. Out: a way to ask it something: at its own address, or through the API server.

From inside a cluster a pod's address is reached directly, which needs no permission. From outside
only the API server reaches it, and lets those in who may `create pods/proxy`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import httpx

from deployer.targets.kubernetes.client.client import Client
from deployer.targets.kubernetes.client.errors import ApiError

PORT: Final = 8080
SECONDS: Final = 2.0

Object = Mapping[str, Any]


class PodHttp:
    """Ways to the pods of one cluster.

    Args:
        client: the cluster.
        direct: whether pods are reached at their own address.
    """

    def __init__(self, client: Client, *, direct: bool) -> None:
        self._client = client
        self._direct = direct

    def get(self, pod: Object, path: str) -> bytes:
        """What a pod answers to a GET, whatever the status; b"" if it does not."""
        try:
            return self._ask(pod, path, None, SECONDS)[1]
        except httpx.HTTPError:
            return b""

    def post(self, pod: Object, path: str) -> Callable[[bytes, float], tuple[int, bytes]]:
        """A function that POSTs JSON to a pod, as `deployer.analysis.example` takes it."""

        def send(body: bytes, seconds: float) -> tuple[int, bytes]:
            return self._ask(pod, path, body, seconds)

        return send

    def _ask(self, pod: Object, path: str, body: bytes | None, seconds: float) -> tuple[int, bytes]:
        address = pod.get("status", {}).get("podIP")
        if self._direct:
            if not address:
                raise httpx.ConnectError("the pod has no address")
            return _directly(f"http://{_host(address)}:{PORT}{path}", body, seconds)
        meta = pod["metadata"]
        ask = partial(self._client.ask_pod, meta["namespace"], meta["name"], PORT, path)
        try:
            answer = ask(body, seconds=seconds)
        except ApiError as error:
            raise httpx.ConnectError(error.message) from error
        return answer.status, answer.body


def _directly(url: str, body: bytes | None, seconds: float) -> tuple[int, bytes]:
    headers = {"content-type": "application/json"} if body is not None else {}
    method = "GET" if body is None else "POST"
    with httpx.Client(timeout=seconds, trust_env=False) as client:
        answer = client.request(method, url, content=body, headers=headers)
        return answer.status_code, answer.content


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
