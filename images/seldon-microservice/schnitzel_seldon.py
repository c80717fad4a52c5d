# ruff: noqa: INP001 - a file of the image
"""Answer for Seldon's microservice with the model server beside it.

    seldon-core-microservice schnitzel_seldon.Model

Runs in the environment of seldon-core, which is none of the model's: our server has the model, in
its own environment, and is asked over the Unix socket at SCHNITZEL_SOCKET. Needs seldon-core and
numpy, and nothing of ours. Each thread has a connection of its own.

| asked with | the server is asked | answered with |
|---|---|---|
| `ndarray` with `names` | `/invocations`, dataframe_split | the same kind |
| `ndarray`, `tensor`, `tftensor` of numbers | Open Inference Protocol, one tensor | the same kind |
| `ndarray` of anything else | `/invocations`, instances | the same kind |
| `jsonData` | `/invocations`, or `infer` if it has `inputs` with datatypes | `jsonData` |
| `strData` | `/invocations`, CSV | `jsonData` |
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterable
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

import numpy as np  # noqa: TID253 - seldon-core brings it, and nothing works without
from seldon_core.flask_utils import SeldonMicroserviceException
from seldon_core.user_model import SeldonResponse

DATATYPES = {
    "b1": "BOOL", "i1": "INT8", "i2": "INT16", "i4": "INT32", "i8": "INT64",
    "u1": "UINT8", "u2": "UINT16", "u4": "UINT32", "u8": "UINT64", "f4": "FP32", "f8": "FP64",
}  # fmt: skip
"""numpy's kind and size of an element, and what the protocol calls it."""

SECONDS = 75.0
"""For one answer: longer than the server itself takes to give one up, by default."""


class _Connection(HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=float(os.environ.get("SCHNITZEL_SECONDS", SECONDS)))
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Model:
    """The user's class of Seldon's microservice. Parameters of the graph are taken, and unused."""

    def __init__(self, **_parameters: Any) -> None:
        self._path = os.environ["SCHNITZEL_SOCKET"]
        self._here = threading.local()
        self._model = ""

    # -- what the microservice calls

    def predict(self, X: Any, names: Iterable[str], meta: Any = None) -> SeldonResponse:  # noqa: ARG002, N803 - its signature
        """Return the model's answer, with its version as a tag and how long it took."""
        begin = time.perf_counter()
        columns = [str(name) for name in names]
        if isinstance(X, np.ndarray):
            data, version = self._array(X, columns)
        else:
            data, version = self._other(X)
        took = (time.perf_counter() - begin) * 1000
        metrics = [
            {"type": "COUNTER", "key": "schnitzel_forwarded_total", "value": 1},
            {"type": "TIMER", "key": "schnitzel_forwarded_milliseconds", "value": took},
        ]
        return SeldonResponse(data=data, tags={"model_version": version}, metrics=metrics)

    def class_names(self) -> list[str]:
        """Return the names of the columns of what this thread answered last."""
        found: list[str] = getattr(self._here, "names", [])
        return found

    def send_feedback(
        self, features: Any, feature_names: Any, reward: float, truth: Any, routing: Any
    ) -> SeldonResponse:
        """Count feedback; Seldon itself adds the reward up."""
        del features, feature_names, reward, routing
        metrics = [{"type": "COUNTER", "key": "schnitzel_feedback_total", "value": 1}]
        if truth is not None and np.size(truth):
            metrics.append(
                {"type": "COUNTER", "key": "schnitzel_feedback_with_truth_total", "value": 1}
            )
        return SeldonResponse(data=None, metrics=metrics)

    def health_status(self) -> dict[str, Any]:
        """Return what the server says of its readiness; 503 while it is not ready."""
        found: dict[str, Any] = json.loads(self._ask("GET", "/v2/health/ready")[0])
        return found

    # -- asking the server

    def _array(self, array: np.ndarray, names: list[str]) -> tuple[Any, str]:
        kind = DATATYPES.get(f"{array.dtype.kind}{array.dtype.itemsize}")
        if names and array.ndim == 2:
            split = {"columns": names, "data": array.tolist()}
            return self._invoke({"dataframe_split": split})
        if kind is None or array.ndim == 0:
            return self._invoke({"instances": array.tolist()})
        tensor = {
            "name": "input",
            "datatype": kind,
            "shape": list(array.shape),
            "data": array.ravel().tolist(),
        }
        answer, version = self._infer({"inputs": [tensor]})
        outputs = answer["outputs"]
        parts = [np.array(each["data"]).reshape(each["shape"]) for each in outputs]
        if len(parts) == 1:
            self._here.names = []
            return parts[0], version
        self._here.names = [each["name"] for each in outputs]
        return np.column_stack(parts), version

    def _other(self, data: Any) -> tuple[Any, str]:
        self._here.names = []
        if isinstance(data, bytes):
            raise _wrong(400, "binData is not understood: send jsonData, ndarray or strData")
        if isinstance(data, str):
            body, version = self._ask("POST", "/invocations", data.encode(), "text/csv")
            return json.loads(body), version
        tensors = data.get("inputs") if isinstance(data, dict) else None
        if isinstance(tensors, list) and all(isinstance(t, dict) for t in tensors) and tensors:
            return self._infer(data)
        body, version = self._ask("POST", "/invocations", json.dumps(data).encode())
        return json.loads(body), version

    def _invoke(self, question: dict[str, Any]) -> tuple[Any, str]:
        body, version = self._ask("POST", "/invocations", json.dumps(question).encode())
        found = json.loads(body)["predictions"]
        self._here.names = []
        if isinstance(found, list) and found and isinstance(found[0], dict):
            self._here.names = list(found[0])
            found = [[row[name] for name in self._here.names] for row in found]
        return np.array(found), version

    def _infer(self, question: dict[str, Any]) -> tuple[Any, str]:
        if not self._model:
            index = json.loads(self._ask("GET", "/")[0])
            self._model = next(path for path in index["paths"] if path.endswith("/infer"))
        body, version = self._ask("POST", f"/{self._model}", json.dumps(question).encode())
        return json.loads(body), version

    def _ask(
        self, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
    ) -> tuple[bytes, str]:
        """Return body and model version of an answer; raise what Seldon shows of another."""
        try:
            answer, said = self._exchange(method, path, body, kind)
        except (OSError, HTTPException) as error:
            raise _wrong(503, f"the model server beside it cannot be asked: {error}") from error
        if answer.status >= 400:
            raise _wrong(answer.status, _message(said))
        return said, answer.getheader("x-schnitzel-model-version") or ""

    def _exchange(
        self, method: str, path: str, body: bytes | None, kind: str
    ) -> tuple[HTTPResponse, bytes]:
        kept = getattr(self._here, "connection", None)
        for connection in (kept, _Connection(self._path)):
            if connection is None:
                continue
            self._here.connection = connection
            try:
                connection.request(method, path, body, {"Content-Type": kind})
                answer = connection.getresponse()
                said = answer.read()
            except TimeoutError:
                self._forget(connection)
                raise
            except (OSError, HTTPException):
                self._forget(connection)
                if connection is not kept:
                    raise
                continue  # it was closed while nobody asked
            if answer.will_close:
                self._forget(connection)
            return answer, said
        raise AssertionError("the last connection answers or raises")

    def _forget(self, connection: HTTPConnection) -> None:
        self._here.connection = None
        connection.close()


def _message(body: bytes) -> str:
    try:
        said = json.loads(body)
        return str(said.get("message") or said.get("error") or said)
    except (ValueError, AttributeError):
        return body.decode("utf-8", "replace")[:300]


def _wrong(status: int, message: str) -> SeldonMicroserviceException:
    return SeldonMicroserviceException(message, status_code=status, reason="MODEL_SERVER")
