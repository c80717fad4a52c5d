"""In: MLflow's webhooks. Out: hints that a model has changed, checked to be from our MLflow."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from deployer.errors import Unauthorised
from deployer.rest import Rest

NAME = "schnitzel"
# An alias that moves fires "created"; a stage transition fires nothing (mlflow 3.17).
EVENTS = (
    {"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"},
    {"entity": "MODEL_VERSION_ALIAS", "action": "DELETED"},
    {"entity": "MODEL_VERSION", "action": "CREATED"},
)
TOLERANCE_SECONDS = 300


def register(rest: Rest, url: str, secret: str, platform_id: str) -> None:
    """Have MLflow call us: one webhook per platform, replaced if it points elsewhere.

    Raises:
        NotFound, RegistryUnreachable: The server has no webhooks, or does not allow this one.
    """
    name = f"{NAME}-{platform_id}"
    for webhook in rest.pages("webhooks", "webhooks", {}):
        if webhook.get("name") == name:
            rest.delete(f"webhooks/{webhook['webhook_id']}", {})
    body = {"name": name, "url": url, "events": list(EVENTS), "secret": secret, "status": "ACTIVE"}
    rest.post("webhooks", body)


def check(headers: Mapping[str, str], body: bytes, secret: str, now: float) -> None:
    """Check a delivery's signature: "v1," and the base64 of HMAC-SHA256 over id, time and body.

    Raises:
        Unauthorised: It is not signed with our secret, or it is older than five minutes.
    """
    delivery = headers.get("x-mlflow-delivery-id", "")
    timestamp = headers.get("x-mlflow-timestamp", "")
    signed = f"{delivery}.{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    if not hmac.compare_digest(expected, headers.get("x-mlflow-signature", "")):
        raise Unauthorised("This webhook is not signed with this platform's secret.")
    if not timestamp.isdigit() or abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        raise Unauthorised("This webhook is too old.")


def model_of(body: bytes) -> str | None:
    """The name of the model that a delivery is about."""
    try:
        message: Any = json.loads(body)
    except ValueError:
        return None
    data = message.get("data") if isinstance(message, dict) else None
    name = data.get("name") if isinstance(data, dict) else None
    return name if isinstance(name, str) else None
