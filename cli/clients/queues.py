"""Call the Deployer's HTTP API: the queues of deployments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cli.clients.http import Service, path_segment

if TYPE_CHECKING:
    from collections.abc import Sequence

Queue = dict[str, Any]  # the API's own shape; the OpenAPI schema says which

MOST_SENT = 1_000
"""The most messages of one request."""


class Queues:
    """The queues of deployments, as the Deployer reports them."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def all(self) -> list[Queue]:
        """List the deployments that answer a queue."""
        return self._service.get("/api/v1/queues")["queues"]  # type: ignore[no-any-return]

    def get(self, deployment: str) -> Queue:
        """Return the queue of a deployment in detail."""
        return self._service.get(_path(deployment))  # type: ignore[no-any-return]

    def send(self, deployment: str, message: dict[str, Any], count: int) -> dict[str, Any]:
        """Send a message so many times, and return the queue and the ids."""
        sent: dict[str, Any] = {"queue": "", "message_ids": []}
        for begin in range(0, count, MOST_SENT):
            body = {"messages": [message], "count": min(MOST_SENT, count - begin)}
            found = self._post(deployment, "send", body)
            ids = [*sent["message_ids"], *found["message_ids"]]
            sent = {"queue": found["queue"], "message_ids": ids}
        return sent

    def peek(self, deployment: str, queue: str, limit: int) -> dict[str, Any]:
        """Look at the first messages of a queue: source, dead, or its name."""
        return self._post(deployment, "peek", {"queue": queue, "limit": limit})

    def replay(
        self,
        deployment: str,
        ids: Sequence[str],
        reasons: Sequence[str],
        *,
        everything: bool,
        limit: int,
    ) -> dict[str, Any]:
        """Send dead letters to the source again."""
        chosen = {"ids": list(ids), "reasons": list(reasons), "all": everything}
        return self._post(deployment, "replay", {**chosen, "limit": limit})

    def create(self, deployment: str, kind: str) -> dict[str, Any]:
        """Make the queues that the deployment's spec names."""
        return self._post(deployment, "create", {"kind": kind})

    def _post(self, deployment: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._service.post(f"{_path(deployment)}/{verb}", body)
        return found


def _path(deployment: str) -> str:
    return f"/api/v1/deployments/{path_segment(deployment)}/queue"
