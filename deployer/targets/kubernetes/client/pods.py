"""Read logs of pods and send them requests, through the API server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deployer.targets.kubernetes.client.errors import ApiRequest, error_of
from deployer.targets.kubernetes.client.kinds import POD
from deployer.targets.kubernetes.client.session import Session
from deployer.targets.kubernetes.client.transport import SECONDS, Transport


@dataclass(frozen=True, slots=True)
class PodAnswer:
    """A pod's own answer through the API server."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Pods:
    """The pods of one cluster, through the API server."""

    def __init__(self, session: Session, sender: Transport) -> None:
        self._session = session
        self._send = sender

    @property
    def host(self) -> str:
        """The host and port of the API server."""
        return self._session.host

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
        answer = self._send.call(asked, "GET", POD.path(namespace, pod, "log"), query)
        return answer.data.decode(errors="replace")

    def ask_pod(
        self,
        namespace: str,
        pod: str,
        port: int | str,
        path: str,
        body: bytes | None = None,
        *,
        seconds: float = SECONDS,
    ) -> PodAnswer:
        """GET (or POST, with a body) a pod's own port through the API server, once.

        Raises:
            Unavailable: The API server cannot reach the pod.
        """
        method, verb = ("GET", "get") if body is None else ("POST", "create")
        place = POD.path(namespace, f"{pod}:{port}", "proxy").replace("%3A", ":")
        url = f"{place}/{path.lstrip('/')}"
        answer = self._session.request(method, url, None, body, seconds=seconds)
        data = answer.data
        if answer.status >= 400 and b'"kind":"Status"' in data and b'"metadata"' in data:
            asked = ApiRequest(verb, "pods/proxy", namespace, pod)
            raise error_of(asked, answer.status, answer.headers, data, self.host)
        return PodAnswer(answer.status, answer.headers, data)
