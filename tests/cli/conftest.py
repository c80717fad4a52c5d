"""For each test a home of its own, the CLI in it, and a loopback API with recorded answers."""

import json
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from cli import main


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith(("SCHNITZEL_", "MLFLOW_")) or name in ("NO_COLOR", "TERM"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("SCHNITZEL_HOME", str(folder))
    monkeypatch.setenv("SCHNITZEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def schnitzel(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def call(*arguments: object, stdin: str = "") -> Result:
        monkeypatch.setattr(sys, "stdin", StringIO(stdin))
        capsys.readouterr()
        code = main.run([str(each) for each in arguments])
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return call


@dataclass
class Api:
    """A loopback server that answers with what a test recorded; remembers what it was asked."""

    url: str
    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def answer(self, method: str, path: str, body: Any, status: int = 200) -> None:
        """Record an answer; a list of answers is given one after the other, the last for good."""
        self.answers[method, path] = (status, body)

    def requests(self, method: str) -> list[dict[str, Any]]:
        return [each for each in self.asked if each["method"] == method]


@pytest.fixture
def api() -> Iterator[Api]:
    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            path, _, query = self.path.partition("?")
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            served.asked.append(
                {
                    "method": self.command,
                    "path": path,
                    "query": query,
                    "body": json.loads(body) if body[:1] in (b"{", b"[") else None,
                    "raw": body,
                    "headers": dict(self.headers),
                }
            )
            status, found = served.answers.get(
                (self.command, path), (404, {"error": f"no {path}", "hint": ""})
            )
            if isinstance(found, Steps):
                found = found.next()
            data = found.encode() if isinstance(found, str) else json.dumps(found).encode()
            self.send_response(status)
            if status in (301, 302, 307):
                self.send_header("Location", found)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("X-Schnitzel-Model-Version", "2")
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = handle_any  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Api(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


class Steps:
    """Answers given one after the other; the last one for good."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    def next(self) -> Any:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@pytest.fixture
def steps() -> type[Steps]:
    return Steps


@pytest.fixture
def deployment():
    """Make a deployment as the Deployer's API has it; the arguments replace its fields."""

    def make(**fields: Any) -> dict[str, Any]:
        return {
            "id": "angler-prod",
            "model": "angler",
            "environment": "prod",
            "target": "local",
            "state": "Serving",
            "reason": "Ready",
            "message": "Version 2 serves all requests.",
            "next_step": "",
            "sync": "InSync",
            "url": "http://127.0.0.1:8000/prod/angler/",
            "wanted": {
                "version": "2",
                "via": "alias champion",
                "since": "2026-01-02T03:04:05+00:00",
            },
            "serving": {"version": "2"},
            "predictors": [
                {
                    "name": "angler-prod-v2-1a2b3c4d",
                    "version": "2",
                    "runtime": "mlflow",
                    "role": "champion",
                    "weight": 100,
                    "phase": "ready",
                    "since": "2026-01-02T03:04:06+00:00",
                    "example": "passed",
                    "reason": "",
                    "message": "",
                    "pid": 4242,
                    "port": 18001,
                    "replicas": 1,
                    "replicas_ready": 1,
                }
            ],
            "losing": [],
            "paused": None,
            "conditions": [],
            "observed_at": "2026-01-02T03:05:05+00:00",
            "changed_at": "2026-01-02T03:04:08+00:00",
            "retry_at": None,
            "notes": [],
            "spec": {},
            **fields,
        }

    return make


@pytest.fixture
def plan():
    """Make a plan as the Deployer's API has it; the arguments replace its fields."""

    def make(**fields: Any) -> dict[str, Any]:
        return {
            "deployment": "angler-prod",
            "digest": "sha256:5eed",
            "changes": [
                {
                    "action": "start",
                    "predictor": "angler-prod-v3-99aabbcc",
                    "version": "3",
                    "why": "version 3 is promoted by alias champion",
                    "before": None,
                    "after": {"weight": 0},
                }
            ],
            "pending": True,
            "unsafe": None,
            "objects": [
                {
                    "action": "create",
                    "kind": "Deployment",
                    "name": "angler-prod-v3-99aabbcc",
                    "namespace": "prod",
                    "why": "",
                    "fields": [{"path": "spec", "before": None, "after": {"replicas": 1}}],
                }
            ],
            "unknown": [],
            **fields,
        }

    return make


@pytest.fixture
def deployer(
    api: Api, home: Path, monkeypatch: pytest.MonkeyPatch, deployment: Any, plan: Any
) -> Api:
    """The loopback server in the Deployer's place: angler serves in prod, a plan is pending."""
    monkeypatch.setenv("SCHNITZEL_DEPLOYER_URL", api.url)
    (home / "token").write_text("ada:s3cret\n")
    api.answer("GET", "/api/v1/deployments", {"deployments": [deployment()], "registry": {}})
    api.answer("GET", "/api/v1/deployments/angler-prod", deployment())
    api.answer("GET", "/api/v1/deployments/angler-prod/plan", plan())
    api.answer("GET", "/api/v1/deployments/angler-prod/logs", "loading\nready\n")
    return api
