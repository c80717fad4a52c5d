"""Translate answers of a Kubernetes API server, and missing answers, into errors to act on.

::

    TargetUnavailable
      ApiError              any of these
        Unavailable         no answer, or "not now": wait (transient)
        Conflict            the object is not as it was read: read again (transient)
          AlreadyExists     a new object's name is taken (transient: read again)
        ForeignObject       the object is foreign: an operator decides
        Gone                a watch or a page is too old: list again (transient)
          ClusterRestored   the server was restored from a backup: list again (transient)
        Missing             there is no such object
        Forbidden           our account may not; the hint is the command that fixes it
        Unauthenticated     the credentials are refused
        Invalid             the server refuses a field, in its own sentence
          Immutable         ... because it cannot be changed in place
        AdmissionRefused    a webhook, a quota or Pod Security refuses the object
        AdmissionUnavailable  a required webhook does not answer (transient)

No message carries a header, a request's body or a credential.
"""

# ruff: noqa: N818 - an error is named for the reason that people see, without a suffix

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from deployer.errors import TargetUnavailable

MAX_MESSAGE = 600
"""Characters of a server's own sentence that an error repeats."""


class ApiError(TargetUnavailable):
    """The Kubernetes API did not do as asked."""


class Unavailable(ApiError):
    """No answer in time, no connection, too many requests, or an error inside the server.

    Attributes:
        retry_after: Seconds that the server asks to wait, or None.
        reached: False if the request certainly never got to the server.
    """

    reason = "ClusterUnavailable"

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        retry_after: float | None = None,
        reached: bool = True,
    ) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after
        self.reached = reached


class Conflict(ApiError):
    """The object was changed, deleted or made anew since it was read."""

    reason = "ChangedMeanwhile"


class AlreadyExists(Conflict):
    """An object of this name exists already."""


class ForeignObject(ApiError):
    """An object of this name exists, and is not ours to change."""

    reason = "Conflict"
    transient = False


class Gone(ApiError):
    """The resource version is older than the oldest that the server remembers."""

    reason = "Gone"


class ClusterRestored(Gone):
    """The server's newest resource version is older than one that it gave us: a restored backup."""

    reason = "ClusterRestored"


class Missing(ApiError):
    """There is no such object, no such namespace, or no such kind."""

    reason = "ObjectMissing"


class Forbidden(ApiError):
    """Our account has no permission for the request.

    Attributes:
        verb: The verb of RBAC.
        resource: The resource, such as "deployments.apps".
        namespace: The namespace; empty for the whole cluster.
    """

    reason = "Forbidden"

    def __init__(self, message: str, hint: str, verb: str, resource: str, namespace: str) -> None:
        super().__init__(message, hint)
        self.verb, self.resource, self.namespace = verb, resource, namespace


class Unauthenticated(ApiError):
    """The API server does not accept our credentials."""

    reason = "Unauthenticated"


class Invalid(ApiError):
    """The server refuses a field. `fields` are the paths that it names."""

    reason = "ManifestInvalid"
    transient = False

    def __init__(self, message: str, hint: str = "", fields: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint)
        self.fields = fields


class Immutable(Invalid):
    """A field cannot be changed in place: the change needs an object of another name."""

    reason = "ImmutableField"


class AdmissionRefused(ApiError):
    """A webhook, a quota, a limit range or Pod Security refuses the object."""

    reason = "AdmissionRefused"


class AdmissionUnavailable(ApiError):
    """A webhook of the cluster does not answer, and nothing is accepted without it."""

    reason = "AdmissionUnavailable"


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request to the server, as far as an error may repeat it."""

    verb: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        name = f" {self.name}" if self.name else ""
        return f"{self.verb} {self.resource}{name}{where}"


_ADMISSION = re.compile(
    r"admission webhook|exceeded quota|failed quota|violates PodSecurity|"
    r"ValidatingAdmissionPolicy|(minimum|maximum) (cpu|memory|[\w./-]+) usage per|"
    r"is being terminated|denied the request"
)
_NO_WEBHOOK = re.compile(r'failed calling webhook "([^"]+)"')
_IMMUTABLE = re.compile(r"field is immutable|may not be changed|immutable when|cannot be changed")


_FUTURE = "Too large resource version"


def error_of(
    asked: ApiRequest, status: int, headers: Mapping[str, str], body: bytes, host: str
) -> ApiError:
    """Build the error of an answer of 400 or more.

    Sources: the API's conventions on `Status` and its reasons; the sentences of admission are
    those of Kubernetes 1.34.
    """
    answer = _status_object(body)
    text = " ".join(str(answer.get("message") or "").split())[:MAX_MESSAGE]
    message = text or f"{host} answered {status}"
    reason = answer.get("reason", "")
    if status == 401:
        return Unauthenticated(
            f"The cluster at {host} refuses our credentials.",
            "Check the cluster's kubeconfig and context in platform.yaml.",
        )
    if status in (403, 422, 400, 500) and (refusal := _admission(asked, text)):
        return refusal
    if status == 403:
        return _forbidden(asked, text)
    if status == 404:
        return _missing(asked, text, host)
    if status == 409:
        known = AlreadyExists if reason == "AlreadyExists" else Conflict
        return known(f"It is not as it was read ({asked}): {message}")
    if status == 410 or reason in ("Gone", "Expired") or _FUTURE in text:
        gone = ClusterRestored if _FUTURE in text else Gone
        return gone(f"The cluster no longer has that resourceVersion ({asked}): {message}")
    if status in (429, 408) or status >= 500:
        return Unavailable(
            f"The cluster at {host} cannot {asked} now: {message}",
            "It is retried; no decision relies on it.",
            retry_after=_seconds(headers, answer),
        )
    return _invalid(asked, text or message, answer)


def _admission(asked: ApiRequest, text: str) -> ApiError | None:
    if silent := _NO_WEBHOOK.search(text):
        return AdmissionUnavailable(
            f"The cluster cannot {asked}: its webhook {silent[1]} does not answer: {text}",
            "See whether what the webhook belongs to runs; it is retried automatically.",
        )
    if not _ADMISSION.search(text):
        return None
    return AdmissionRefused(
        f"The cluster refuses to {asked}: {text}",
        "Ask the cluster's administrators, or change what the sentence names.",
    )


def _missing(asked: ApiRequest, text: str, host: str) -> Missing:
    if not text or text.startswith("the server could not find"):
        return Missing(
            f"The cluster at {host} knows no {asked.resource} ({asked}).",
            f"Install what defines them: kubectl get crd {asked.resource}",
        )
    space = re.search(r'namespaces "([^"]+)" not found', text)
    hint = f"kubectl create namespace {space[1]}" if space else ""
    return Missing(f"There is nothing to {asked}: {text}", hint)


def _forbidden(asked: ApiRequest, text: str) -> Forbidden:
    scope = f" -n {asked.namespace}" if asked.namespace else ""
    role = "role" if asked.namespace else "clusterrole"
    name = "schnitzel-missing"
    who = re.search(r'User "([^"]+)"', text)
    user = f"--user={who[1]}" if who else "--user=USER"
    if who and who[1].startswith("system:serviceaccount:"):
        user = f"--serviceaccount={who[1].removeprefix('system:serviceaccount:')}"
    hint = (
        f"kubectl create {role} {name}{scope} --verb={asked.verb} --resource={asked.resource} && "
        f"kubectl create {role}binding {name}{scope} --{role}={name} {user}"
    )
    message = f"Our account may not {asked}: {text or 'forbidden'}"
    return Forbidden(message, hint, asked.verb, asked.resource, asked.namespace)


def _invalid(asked: ApiRequest, text: str, answer: Mapping[str, Any]) -> ApiError:
    details = answer.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    named = (c["field"] for c in causes or () if isinstance(c, dict) and c.get("field"))
    fields = tuple(dict.fromkeys(map(str, named)))
    if fields == ("metadata.uid",):  # the answer to an apply to another object of this name
        return Conflict(f"It is another one than was read ({asked}): {text}")
    if _IMMUTABLE.search(text):
        return Immutable(
            f"The cluster cannot {asked} in place: {text}",
            "Such a change needs an object of another name: roll out a new predictor.",
            fields,
        )
    hint = "The chart and the cluster's version do not agree on this field."
    return Invalid(f"The cluster refuses to {asked}: {text}", hint, fields)


def _status_object(body: bytes) -> dict[str, Any]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _seconds(headers: Mapping[str, str], answer: Mapping[str, Any]) -> float | None:
    details = answer.get("details")
    seconds = headers.get("Retry-After")
    if seconds is None and isinstance(details, dict):
        seconds = details.get("retryAfterSeconds")
    try:
        return max(0.0, float(seconds)) if seconds is not None else None
    except (TypeError, ValueError):
        return None
