"""Send HTTP requests to pods, at their own addresses or through the API server.

Inside a cluster, the Deployer reaches a pod's address directly, which needs no permission. Outside,
only the API server reaches pods, and admits accounts that may `create pods/proxy`.
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
    """HTTP to the pods of one cluster.

    Args:
        client: The cluster.
        direct: Whether to reach pods at their own addresses.
    """

    def __init__(self, client: Client, *, direct: bool) -> None:
        self._client = client
        self._direct = direct

    def get(self, pod: Object, path: str) -> bytes:
        """Return a pod's answer to a GET, whatever the status; b"" without an answer."""
        try:
            return self._ask(pod, path, None, SECONDS)[1]
        except httpx.HTTPError:
            return b""

    def post(self, pod: Object, path: str) -> Callable[[bytes, float], tuple[int, bytes]]:
        """Make a function that POSTs JSON to a pod, for `deployer.analysis.example`."""

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
