"""Read logs of pods and send them HTTP requests.

Inside a cluster, pods are reached at their own addresses, which needs no permission. Outside, only
the API server reaches pods, and admits accounts that may `create pods/proxy`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

from deployer.targets.kubernetes.client.errors import ApiError, ApiRequest
from deployer.targets.kubernetes.client.kinds import POD
from deployer.targets.kubernetes.client.transport import Transport

ANSWER_SECONDS: Final = 2.0
"""Time for a pod's answer to a GET."""

Object = Mapping[str, Any]


class Pods:
    """The pods of one cluster.

    Args:
        transport: Requests to the API server.
        direct: Whether to reach pods at their own addresses, and not through the API server.
    """

    def __init__(self, transport: Transport, *, direct: bool = False) -> None:
        self._transport = transport
        self._direct = direct

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str = "",
        *,
        lines: int = 100,
        previous: bool = False,
    ) -> str:
        """Read the last lines of a container's log; `previous`: from before its last restart.

        Raises:
            Missing: There is no such pod.
            Invalid: The container has not started, or has no previous instance.
        """
        asked = ApiRequest("get", "pods/log", namespace, pod)
        query = {"tailLines": str(lines), "previous": str(previous).lower()}
        query |= {"container": container} if container else {}
        answer = self._transport.call(asked, "GET", POD.path(namespace, pod, "log"), query)
        return answer.data.decode(errors="replace")

    def get(self, pod: Object, port: int, path: str) -> bytes:
        """Return a pod's answer to a GET, whatever the status; b"" without an answer."""
        try:
            return self._ask(pod, port, path, None, ANSWER_SECONDS)[1]
        except httpx.HTTPError:
            return b""

    def post(
        self, pod: Object, port: int, path: str
    ) -> Callable[[bytes, float], tuple[int, bytes]]:
        """Make a function that POSTs JSON to a pod, within so many seconds, and returns the answer.

        The function returns the status and the body of the answer. It raises an `httpx.HTTPError`
        without an answer, be the pod reached directly or not.
        """

        def send(body: bytes, seconds: float) -> tuple[int, bytes]:
            return self._ask(pod, port, path, body, seconds)

        return send

    def _ask(
        self, pod: Object, port: int, path: str, body: bytes | None, seconds: float
    ) -> tuple[int, bytes]:
        if self._direct:
            address = pod.get("status", {}).get("podIP")
            if not address:
                raise httpx.ConnectError("the pod has no address")
            return _directly(f"http://{_host(address)}:{port}{path}", body, seconds)
        meta = pod["metadata"]
        namespace, name = meta["namespace"], meta["name"]
        method, verb = ("GET", "get") if body is None else ("POST", "create")
        place = POD.path(namespace, f"{name}:{port}", "proxy").replace("%3A", ":")
        asked = ApiRequest(verb, "pods/proxy", namespace, name)
        try:
            return self._transport.relayed(asked, method, f"{place}{path}", body, seconds)
        except ApiError as error:
            raise httpx.ConnectError(error.message) from error


def _directly(url: str, body: bytes | None, seconds: float) -> tuple[int, bytes]:
    headers = {"content-type": "application/json"} if body is not None else {}
    method = "GET" if body is None else "POST"
    with httpx.Client(timeout=seconds, trust_env=False) as client:
        answer = client.request(method, url, content=body, headers=headers)
        return answer.status_code, answer.content


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address
