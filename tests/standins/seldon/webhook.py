"""Refuse SeldonDeployments in the namespaces of a prefix, as `rules` says.

A validating webhook of the API server itself, on loopback; nothing of it stays.
"""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from standins.seldon import rules
from standins.seldon.api import Api

NAME = "v1.vseldondeployment.kb.io"
"""What the API server calls it when it repeats what it said."""


@contextmanager
def webhook(kubeconfig: Path, prefix: str, config: Mapping[str, Any]) -> Iterator[None]:
    """Refuse in the namespaces that begin with the prefix, for as long as the block lasts."""
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
        names = ("-subj", "/CN=seldon-stand-in", "-addext", "subjectAltName=IP:127.0.0.1")
        kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        out = ("-days", "2", "-keyout", str(key), "-out", str(certificate))
        command = ["openssl", "req", "-x509", *kind, *names, *out]
        subprocess.run(command, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(config))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        api = Api(kubeconfig)
        made = api.create(_registration(prefix, server.server_port, certificate.read_bytes()))
        try:
            yield
        finally:
            api.delete(made)
            server.shutdown()
            server.server_close()


def _handler(config: Mapping[str, Any]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            request = review["request"]
            spec = request["object"]["spec"]
            refused = rules.refusals(spec, config)
            response: dict[str, Any] = {"uid": request["uid"], "allowed": not refused}
            if refused:
                response["status"] = rules.answer(refused, spec.get("name", ""))
            body = json.dumps({**review, "response": response}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _registration(prefix: str, port: int, certificate: bytes) -> dict[str, Any]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": f"{prefix}stand-in.machinelearning.seldon.io"},
        "webhooks": [
            {
                "name": NAME,
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "clientConfig": {
                    "url": f"https://127.0.0.1:{port}/",
                    "caBundle": base64.b64encode(certificate).decode(),
                },
                "rules": [
                    {
                        "apiGroups": ["machinelearning.seldon.io"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["seldondeployments"],
                    }
                ],
                "matchConditions": [
                    {"name": "ours", "expression": f"request.namespace.startsWith('{prefix}')"}
                ],
            }
        ],
    }
