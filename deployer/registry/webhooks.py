"""Subscribe to MLflow's webhooks and verify their deliveries, which hint at changed models."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from deployer.errors import SchnitzelError, Unauthorised
from deployer.registry.client import RegistryClient

log = logging.getLogger(__name__)

NAME = "schnitzel"
# An alias that moves fires "created"; a stage transition fires nothing (mlflow 3.17).
EVENTS = (
    {"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"},
    {"entity": "MODEL_VERSION_ALIAS", "action": "DELETED"},
    {"entity": "MODEL_VERSION", "action": "CREATED"},
    {"entity": "MODEL_VERSION_TAG", "action": "SET"},
    {"entity": "MODEL_VERSION_TAG", "action": "DELETED"},
)
ORDER = ".rollout"
"""The end of the name of a tag that orders something (deployer/rollout/orders.py)."""

TOLERANCE_SECONDS = 300


PATH = "/webhooks/mlflow"


class Subscription:
    """The webhook of this platform at an MLflow server.

    Args:
        rest: MLflow's REST API.
        url: The URL at which MLflow reaches the Deployer; None if it cannot.
        secret: The secret with which MLflow signs its deliveries.
        platform_id: The id of the platform, which is part of the webhook's name.
    """

    def __init__(
        self, rest: RegistryClient, url: str | None, secret: str, platform_id: str
    ) -> None:
        self._rest = rest
        self._url = url
        self._secret = secret
        self._name = f"{NAME}-{platform_id}"
        self._webhook_id = ""
        self._last_warning = ""

    def ensure(self) -> bool:
        """Recreate the webhook unless it is as this process created it; False if that fails."""
        if self._url is None:
            return self._warn_unavailable(
                f"{self._rest.url} is another machine, which cannot reach this one: set "
                "deployer.public_url"
            )
        try:
            ours = [
                webhook
                for webhook in self._rest.pages("webhooks", "webhooks", {})
                if webhook.get("name") == self._name
            ]
            if [(w.get("webhook_id"), w.get("url"), w.get("status")) for w in ours] == [
                (self._webhook_id, self._url, "ACTIVE")
            ]:
                return True
            for webhook in ours:  # also from before this start: MLflow does not show the secret
                self._rest.delete(f"webhooks/{webhook.get('webhook_id', '')}", {})
            body = {"name": self._name, "url": self._url, "events": list(EVENTS)}
            made = self._rest.post("webhooks", body | {"secret": self._secret, "status": "ACTIVE"})
            self._webhook_id = str(made.get("webhook", {}).get("webhook_id", ""))
        except SchnitzelError as error:
            return self._warn_unavailable(error.message)
        self._last_warning = ""
        return True

    def _warn_unavailable(self, why: str) -> bool:
        if why != self._last_warning:
            log.warning("MLflow sends no webhooks (%s); aliases are seen at listings", why)
        self._last_warning = why
        return False


def address(public_url: str | None, port: int, mlflow_url: str) -> str | None:
    """Return the URL at which MLflow reaches the Deployer.

    The URL has the public address or, for an MLflow on this machine, loopback; it is None for an
    MLflow elsewhere where there is no public address.
    """
    if public_url:
        return f"{public_url.rstrip('/')}{PATH}"
    return f"http://127.0.0.1:{port}{PATH}" if _is_local(urlsplit(mlflow_url).hostname) else None


def _is_local(host: str | None) -> bool:
    """Return whether a host name is this machine's: a socket can be bound to its address."""
    try:
        for family, kind, _, _, place in socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as probe:
                probe.bind(place)
    except OSError:
        return False
    return True


def check(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> None:
    """Verify a delivery's signature: "v1," and the base64 of HMAC-SHA256 over id, time and body.

    Raises:
        Unauthorised: The delivery is not signed with `secret`, or is older than five minutes.
    """
    delivery = headers.get("x-mlflow-delivery-id", "")
    timestamp = headers.get("x-mlflow-timestamp", "")
    signed = f"{delivery}.{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    expected = b"v1," + base64.b64encode(digest)
    if not hmac.compare_digest(expected, headers.get("x-mlflow-signature", "").encode()):
        raise Unauthorised("This webhook is not signed with this platform's secret.")
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        raise Unauthorised("This webhook is too old.")


def is_echo(body: bytes) -> bool:
    """Return whether a delivery is about a tag that orders nothing, such as one of our own."""
    data = _data_of(body)
    return "key" in data and not str(data["key"]).endswith(ORDER)


def model_of(body: bytes) -> str | None:
    """Return the name of the model that a delivery is about; None if the delivery has none."""
    name = _data_of(body).get("name")
    return name if isinstance(name, str) else None


def _data_of(body: bytes) -> Mapping[str, Any]:
    try:
        message: Any = json.loads(body)
    except ValueError:
        return {}
    data = message.get("data") if isinstance(message, dict) else None
    return data if isinstance(data, dict) else {}
