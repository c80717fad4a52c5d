"""Call the Kubernetes API with objects as plain dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from deployer.targets.kubernetes.client.errors import ApiRequest, Missing
from deployer.targets.kubernetes.client.kinds import Kind, kind_of
from deployer.targets.kubernetes.client.pods import Pods
from deployer.targets.kubernetes.client.session import Session
from deployer.targets.kubernetes.client.stream import Stream
from deployer.targets.kubernetes.client.transport import SECONDS, Transport

MANAGER: Final = "schnitzel"
LIST_SECONDS: Final = 60.0
"""Time for one page: the server scans all objects of the kind to find those with our label."""

STREAMED_SECONDS: Final = 300.0
"""Time for a whole list that is streamed."""

PAGE: Final = 100
"""Objects of one page: a Deployment is 9 KB of text and, for a moment, 80 KB of dictionaries."""

APPLY: Final = "application/apply-patch+yaml"
JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"

Object = dict[str, Any]
Objects = list[Object]


@dataclass(frozen=True, slots=True)
class Page:
    """Some objects of a listing, and the resource version of the whole listing."""

    items: list[Object]
    resource_version: str


class Client:
    """The Kubernetes API of one cluster. Safe to use from many threads.

    Every call is bounded in time and may raise Unavailable, Forbidden or Unauthenticated; its
    docstring lists further errors.

    Args:
        session: The connections to the API server.
        direct: Whether to reach pods at their own addresses, and not through the API server.
        transport: Sends requests; by default, one over these connections.

    Attributes:
        pods: The pods: their logs, and HTTP to them.
    """

    def __init__(
        self, session: Session, *, direct: bool = False, transport: Transport | None = None
    ) -> None:
        self._session = session
        self._direct = direct
        self._transport = transport or Transport(session)
        self.pods = Pods(self._transport, direct=direct)

    @property
    def host(self) -> str:
        """The host and port of the API server."""
        return self._session.host

    def with_guard(self, guard: Callable[[], None]) -> Client:
        """Make a client that calls `guard`, which may raise, before each try of a write."""
        return self._over(self._transport.guarded(guard))

    def with_timeout(self, seconds: float) -> Client:
        """Make a client that tries each call once, for so many seconds."""
        return self._over(self._transport.hurried(seconds))

    def _over(self, transport: Transport) -> Client:
        return Client(self._session, direct=self._direct, transport=transport)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def get(self, kind: Kind, namespace: str, name: str) -> Object:
        """Get one object.

        Raises:
            Missing: There is no such object.
        """
        asked = ApiRequest("get", kind.resource, namespace, name)
        return self._transport.json(asked, "GET", kind.path(namespace, name))

    def find(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Get one object, or None if there is no such object."""
        try:
            return self.get(kind, namespace, name)
        except Missing:
            return None

    def pages(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> Iterator[Page]:
        """List all objects of a kind, page by page.

        Raises:
            Gone: The listing is too old: begin again.
            Missing: There is no such kind.
        """
        asked = ApiRequest("list", kind.resource, namespace)
        query = {"limit": str(PAGE)} | _selectors(labels, fields)
        while True:
            answer = self._transport.json(
                asked, "GET", kind.path(namespace), query, seconds=LIST_SECONDS
            )
            items = answer.get("items") or []
            for item in items:
                item.setdefault("apiVersion", kind.api_version)
                item.setdefault("kind", kind.name)
            yield Page(items, answer["metadata"]["resourceVersion"])
            token = answer["metadata"].get("continue")
            if not token:
                return
            query["continue"] = token

    def list(
        self, kind: Kind, namespace: str = "", *, labels: str = "", fields: str = ""
    ) -> Objects:
        """List all objects of a kind at once, for small numbers; raises as `pages` does."""
        pages = self.pages(kind, namespace, labels=labels, fields=fields)
        return [item for page in pages for item in page.items]

    def stream_list(self, kind: Kind, namespace: str = "", *, labels: str = "") -> Stream:
        """List all objects of a kind as events, which the server sends from its memory.

        The stream yields ADDED for each object, then a BOOKMARK for which `ends_list` holds.
        https://kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists

        Raises:
            Invalid: The server does not stream lists.
        """
        asked = ApiRequest("list", kind.resource, namespace)
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "sendInitialEvents": "true",
            "resourceVersionMatch": "NotOlderThan",
            "timeoutSeconds": str(int(STREAMED_SECONDS)),
        }
        query |= _selectors(labels, "")
        return self._transport.stream(asked, kind.path(namespace), query, LIST_SECONDS)

    def watch(
        self,
        kind: Kind,
        namespace: str,
        resource_version: str,
        *,
        labels: str = "",
        fields: str = "",
        seconds: int = 60,
    ) -> Stream:
        """Watch a kind from a resource version on.

        The server ends the watch after so many seconds, with a bookmark.

        Raises:
            Gone: The server forgot the resource version: list again. Also raised by the stream.
        """
        asked = ApiRequest("watch", kind.resource, namespace)
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
        }
        query |= _selectors(labels, fields)
        return self._transport.stream(asked, kind.path(namespace), query, seconds + SECONDS)

    def create(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> Object:
        """Create an object that must not exist yet.

        Raises:
            AlreadyExists, Invalid, AdmissionRefused.
        """
        kind, namespace, name = _place(obj)
        asked = ApiRequest("create", kind.resource, namespace, name)
        return self._transport.json(asked, "POST", kind.path(namespace), _writing(dry_run), obj)

    def server_side_apply(
        self, obj: Mapping[str, Any], *, force: bool = True, dry_run: bool = False
    ) -> Object:
        """Apply these fields to an object, and remove fields that we held and do not name now.

        With metadata.uid and metadata.resourceVersion the apply changes only the object as read.

        Raises:
            Conflict: The object was changed or deleted since; without `force`, another manager
                holds a field.
            Invalid, AdmissionRefused: As `create`.
        """
        kind, namespace, name = _place(obj)
        asked = ApiRequest("patch", kind.resource, namespace, name)
        query = {**_writing(dry_run), "force": str(force).lower()}
        return self._transport.json(asked, "PATCH", kind.path(namespace, name), query, obj, APPLY)

    def json_patch(
        self, kind: Kind, namespace: str, name: str, operations: Sequence[Mapping[str, Any]]
    ) -> Object:
        """Change single fields of an object, metadata.resourceVersion as read among them.

        Raises:
            Conflict, Missing, Invalid, AdmissionRefused.
        """
        asked = ApiRequest("patch", kind.resource, namespace, name)
        path = kind.path(namespace, name)
        return self._transport.json(asked, "PATCH", path, _writing(), operations, JSON_PATCH)

    def patch_status(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        status: Mapping[str, Any],
        resource_version: str,
    ) -> Object:
        """Write these fields into the status of an object as it was read; None removes a field.

        A uid would be no precondition: the API server ignores it here (seen with 1.34).

        Raises:
            Conflict: The object was changed since.
        """
        asked = ApiRequest("patch", f"{kind.resource}/status", namespace, name)
        body = {"metadata": {"resourceVersion": resource_version}, "status": status}
        path = kind.path(namespace, name, "status")
        return self._transport.json(asked, "PATCH", path, _writing(), body, MERGE_PATCH)

    def replace(self, obj: Mapping[str, Any]) -> Object:
        """Replace the object whose resourceVersion the new one carries.

        Raises:
            Conflict, Missing, Invalid, AdmissionRefused.
        """
        kind, namespace, name = _place(obj)
        asked = ApiRequest("update", kind.resource, namespace, name)
        return self._transport.json(asked, "PUT", kind.path(namespace, name), _writing(), obj)

    def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str = "",
        propagation: str = "Background",
    ) -> None:
        """Delete the object that was read, if it still exists.

        Raises:
            Conflict: The name has another object now, or the object was changed since.
        """
        asked = ApiRequest("delete", kind.resource, namespace, name)
        preconditions = {"uid": uid}
        if resource_version:
            preconditions["resourceVersion"] = resource_version
        options = {"propagationPolicy": propagation, "preconditions": preconditions}
        try:
            self._transport.json(asked, "DELETE", kind.path(namespace, name), None, options)
        except Missing:
            return


def ends_list(bookmark: Object) -> bool:
    """Return whether a streamed list is complete with this bookmark."""
    notes = bookmark["metadata"].get("annotations") or {}
    return notes.get("k8s.io/initial-events-end") == "true"


def _place(obj: Mapping[str, Any]) -> tuple[Kind, str, str]:
    meta = obj["metadata"]
    return kind_of(obj), meta.get("namespace", ""), meta.get("name", "")


def _writing(dry_run: bool = False) -> dict[str, str]:
    query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
    return {**query, "dryRun": "All"} if dry_run else query


def _selectors(labels: str, fields: str) -> dict[str, str]:
    chosen = {"labelSelector": labels, "fieldSelector": fields}
    return {name: value for name, value in chosen.items() if value}
