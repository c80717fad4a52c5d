"""Answer HTTP requests as TensorFlow Serving's REST API does.

http_rest_api_handler.cc and http_rest_api_util.cc of tensorflow/serving. Classify and Regress are
not answered by this one.
"""

from __future__ import annotations

import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import json_tensors
from google.protobuf import json_format
from models import Models
from status import HTTP, Status, invalid
from tensorflow_serving.apis import get_model_metadata_pb2

VERSION = r"(?:/versions/(\d+)|/labels/([^/:]+))?"
PREDICT = re.compile(rf"(?i)/v1/models/([^/:]+){VERSION}:(classify|regress|predict)")
STATUS = re.compile(rf"(?i)/v1/models(?:/([^/:]+))?{VERSION}(/metadata)?")
ESCAPES = {**{ord(c): f"\\{c}" for c in "\"'\\"}, 10: "\\n", 13: "\\r", 9: "\\t"}


class Rest(ThreadingHTTPServer):
    """The server at --rest_api_port."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int, models: Models, metrics_path: str) -> None:
        self.models, self.metrics_path, self.answered = models, metrics_path, 0
        super().__init__(("", port), _Handler)

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, str]:
        """Return status and body."""
        try:
            return 200, self._answer(method, path, body)
        except Status as error:
            return HTTP.get(error.code, 500), f'{{ "error": "{_escaped(error.message)}" }}'

    def _answer(self, method: str, path: str, body: bytes) -> str:
        if method == "POST" and (found := PREDICT.fullmatch(path)):
            name, version, label, verb = found.groups()
            if verb.lower() != "predict":
                raise Status("UNIMPLEMENTED", f"the stand-in does not {verb}")
            servable = self.models.find(unquote(name), version, label and unquote(label))
            document = json_tensors.request(body)
            signature = document.get("signature_name", "")
            infos = servable.signature(signature).inputs
            arrays, rows = json_tensors.inputs(document, infos)
            return json_tensors.answer(servable.predict(signature, arrays), rows=rows)
        if method == "GET" and (found := STATUS.fullmatch(path)):
            name, version, label, metadata = found.groups()
            if name is None:
                raise invalid("Missing model name in request.")
            label = label and unquote(label)
            if metadata:
                return _metadata(self.models.find(unquote(name), version, label))
            return _json(self.models.status(unquote(name), version, label))
        raise invalid(f"Malformed request: {method} {path}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Rest

    def _reply(self) -> None:
        path = self.path.partition("?")[0]
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        kind = "application/json"
        if path == self.server.metrics_path:
            kind, status = "text/plain", 200
            count = self.server.answered
            text = (
                "# TYPE :tensorflow:serving:request_count counter\n"
                f":tensorflow:serving:request_count{{}} {count}\n"
            )
        elif path.lower().startswith("/v1/"):
            status, text = self.server.answer(self.command, path, body)
            self.server.answered += status == 200 and self.command == "POST"
        else:
            kind, status, text = "text/html", 404, "<h1>Not Found</h1>"
        content = text.encode("utf-8", "surrogateescape")
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_HEAD = do_PUT = do_DELETE = _reply

    def log_message(self, *_: Any) -> None:
        """Say nothing of each request."""


def _escaped(message: str) -> str:
    """absl::CEscape: what is not printable ASCII in octal, and so not always JSON."""
    return "".join(
        ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}")
        for byte in message.encode("utf-8", "surrogateescape")
    )


def _json(message: Any) -> str:
    return json_format.MessageToJson(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
        indent=1,
    )


def _metadata(servable: Any) -> str:
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = servable.name
    response.model_spec.version.value = servable.version
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in servable.signatures.items():
        signatures.signature_def[name].CopyFrom(signature)
    spec = _json(response.model_spec)
    return f'{{\n"model_spec":{spec},\n"metadata": {{"signature_def": {_json(signatures)}}}\n}}\n'
