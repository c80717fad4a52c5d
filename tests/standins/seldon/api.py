"""Read and write an API server's objects as plain dictionaries."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import yaml

from standins.seldon.pods import Object

PATHS = {
    "SeldonDeployment": "/apis/machinelearning.seldon.io/v1",
    "Deployment": "/apis/apps/v1",
    "Service": "/api/v1",
    "Pod": "/api/v1",
    "ValidatingWebhookConfiguration": "/apis/admissionregistration.k8s.io/v1",
}
MANAGER = "seldon-stand-in"


class Refused(Exception):  # noqa: N818 - named for what happened
    """The API server said no; `code` is its HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Api:
    """One API server, as the user of a kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        named = {c["name"]: c["context"] for c in config["contexts"]}[config["current-context"]]
        place = {c["name"]: c["cluster"] for c in config["clusters"]}[named["cluster"]]
        user = {u["name"]: u["user"] for u in config["users"]}[named["user"]]
        context = ssl.create_default_context(cadata=_text(place, "certificate-authority"))
        headers = {}
        if "token" in user:
            headers["Authorization"] = f"Bearer {user['token']}"
        else:
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(_text(user, "client-certificate") + "\n" + _text(user, "client-key"))
                file.flush()
                context.load_cert_chain(file.name)
        self._client = httpx.Client(
            base_url=place["server"], verify=context, headers=headers, timeout=30, trust_env=False
        )

    def list(self, kind: str, labels: str = "") -> list[Object]:
        """All objects of a kind."""
        found = self._send("GET", _path(kind), params={"labelSelector": labels})
        version = PATHS[kind].removeprefix("/apis/").removeprefix("/api/")
        items: list[Object] = found["items"]
        return [{"apiVersion": version, "kind": kind, **item} for item in items]

    def changes(self, kind: str, labels: str = "") -> Iterator[None]:
        """Yields at each change of an object of a kind, from now on, until the server ends it."""
        now = self._send("GET", _path(kind), params={"limit": "1"})["metadata"]["resourceVersion"]
        params = {
            "watch": "true",
            "labelSelector": labels,
            "resourceVersion": now,
            "timeoutSeconds": "300",
        }
        with self._client.stream("GET", _path(kind), params=params, timeout=310) as answer:
            for line in answer.iter_lines():
                if line.strip():
                    yield

    def create(self, obj: Object) -> Object:
        """Make an object. Raises Refused."""
        return self._send("POST", _path(obj["kind"], obj["metadata"].get("namespace", "")), obj)

    def replace(self, obj: Object) -> Object:
        """Put an object over the one of its name, as it was read. Raises Refused."""
        return self._send("PUT", _path_of(obj), obj)

    def put_status(self, obj: Object) -> Object:
        """Write an object's status. Raises Refused."""
        return self._send("PUT", f"{_path_of(obj)}/status", obj)

    def delete(self, obj: Object) -> None:
        """Delete an object; what it owns goes as well."""
        options = {"propagationPolicy": "Background"}
        try:
            self._send("DELETE", _path_of(obj), options)
        except Refused as error:
            if error.code != 404:
                raise

    def _send(
        self, method: str, path: str, body: Any = None, params: dict[str, str] | None = None
    ) -> Object:
        query = dict(params or {}) if method == "GET" else {"fieldManager": MANAGER}
        answer = self._client.request(method, path, json=body, params=query)
        if answer.status_code >= 400:
            try:
                message = answer.json()["message"]
            except (json.JSONDecodeError, KeyError):
                message = answer.text
            raise Refused(answer.status_code, message)
        found: Object = answer.json()
        return found


def _path(kind: str, namespace: str = "", name: str = "") -> str:
    parts = [PATHS[kind], *(["namespaces", namespace] if namespace else []), f"{kind.lower()}s"]
    return "/".join([*parts, *([name] if name else [])])


def _path_of(obj: Object) -> str:
    meta = obj["metadata"]
    return _path(obj["kind"], meta.get("namespace", ""), meta["name"])


def _text(entry: Object, name: str) -> str:
    if f"{name}-data" in entry:
        return base64.b64decode(entry[f"{name}-data"]).decode()
    return Path(entry[name]).read_text()
