"""TensorFlow Serving's REST API for constant models, without TensorFlow: for pods of tests.

It takes the flags and files that the charts give it. A "SavedModel" of its own is a folder whose
saved_model.pb is JSON: {"kind": "constant", "say": 2}, or of the kind "load-error". What it answers
to these the stand-in answers, too: tests/nightly/serving/test_tfserving_stub.py compares them.
"""

from __future__ import annotations

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import flags as flag_list

CANNOT = "cannot open the vault with password=hunter2"
PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?(/metadata|:predict)?")
NAMED = re.compile(r'\b(name|base_path): *"([^"]*)"')
LABEL = re.compile(r'version_labels *\{ *key: *"([^"]+)" *value: *(\d+)')


class Refused(Exception):  # noqa: N818 - named for what it is
    """An HTTP status and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Model:
    """One model with its only version."""

    def __init__(self, name: str, base: Path, labels: dict[str, str]) -> None:
        self.name, self._labels = name, labels
        self.version = max((each.name for each in base.iterdir() if each.name.isdigit()), key=int)
        told = json.loads((base / self.version / "saved_model.pb").read_text(encoding="utf-8"))
        if told["kind"] == "load-error":
            raise OSError(
                "UNKNOWN: 1 servable(s) did not become available: {{Servable(name: "
                f"{name} version: {self.version}) due to error: INVALID_ARGUMENT: {CANNOT}}}, }}"
            )
        self._say = told["say"]

    def answer(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        """Answer a request for its status, its metadata or a prediction. Raises Refused."""
        found = PATH.fullmatch(path)
        if found is None or (method == "POST") != (found[4] == ":predict"):
            raise Refused(400, f"Malformed request: {method} {path}")
        name, version, label, verb = found.groups()
        if label and label not in self._labels:
            raise Refused(400, f"Unrecognized servable version label: {label}")
        version = self._labels[label] if label else version or self.version
        if (name, version) != (self.name, self.version):
            raise Refused(404, f"Servable not found for request: Specific({name}, {version})")
        if verb is None:
            fine = {"error_code": "OK", "error_message": ""}
            one = {"version": version, "state": "AVAILABLE", "status": fine}
            return {"model_version_status": [one]}
        return self._metadata() if verb == "/metadata" else self._predict(body)

    def _metadata(self) -> dict[str, Any]:
        def tensor(name: str, kind: str) -> dict[str, Any]:
            shape = {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False}
            return {name: {"dtype": kind, "tensor_shape": shape, "name": f"{name}:0"}}

        signature = {
            "inputs": tensor("x", "DT_DOUBLE"),
            "outputs": tensor("output-0", "DT_INT64"),
            "method_name": "tensorflow/serving/predict",
            "defaults": {},
        }
        spec = {"name": self.name, "signature_name": "", "version": self.version}
        defined = {"signature_def": {"serving_default": signature}}
        return {"model_spec": spec, "metadata": {"signature_def": defined}}

    def _predict(self, body: bytes) -> dict[str, Any]:
        try:
            asked = json.loads(body)
        except ValueError:
            raise Refused(400, "JSON Parse error: Invalid value. at offset: 0") from None
        rows = asked.get("instances", asked.get("inputs"))
        if rows is None:
            raise Refused(400, "Missing 'inputs' or 'instances' key")
        if not rows:
            raise Refused(400, "No values in 'instances' array")
        by_rows = "instances" in asked
        numbers = [_named(row) for row in rows] if by_rows else _named(rows)
        for number in numbers:
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise Refused(400, f"JSON Value: {json.dumps(number)} Type: is not of double type")
        return {"predictions" if by_rows else "outputs": [self._say] * len(numbers)}


def _named(value: Any) -> Any:
    """What is given for the one input."""
    if isinstance(value, dict):
        if set(value) != {"x"}:
            raise Refused(400, "Missing named input: x in 'inputs' object.")
        return value["x"]
    return value


class Handler(BaseHTTPRequestHandler):
    """Answers for one model."""

    protocol_version = "HTTP/1.1"
    model: Model

    def _reply(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path, status = self.path.partition("?")[0], 200
        try:
            told = self.model.answer(self.command, path, body)
        except Refused as error:
            status, told = error.status, {"error": str(error)}
        content = json.dumps(told).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _reply

    def log_message(self, *_: Any) -> None:
        """Say nothing of each request."""


def main(arguments: list[str]) -> int:
    """Serve until killed; return the exit code if it cannot."""
    flags: dict[str, Any] = flag_list.parse(arguments)
    given, labels = {"name": flags["model_name"], "base_path": flags["model_base_path"]}, {}
    if flags["model_config_file"]:
        config = Path(flags["model_config_file"]).read_text(encoding="utf-8")
        given, labels = dict(NAMED.findall(config)), dict(LABEL.findall(config))
    try:
        Handler.model = Model(given["name"], Path(given["base_path"]), labels)
    except OSError as error:
        sys.stdout.write(f"Failed to start server. Error: {error}\n")
        return 255
    ThreadingHTTPServer(("", flags["rest_api_port"]), Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
