"""Starts and watches real model servers for the tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import ROOT
from support.run.ports import free_port
from support.run.process import lives
from support.run.wait import wait_for


class Server:
    """One `python -m serving`, in a process group of its own."""

    def __init__(self, folder: Path, artifact: Path, **settings: Any) -> None:
        self.port = free_port()
        self.state_file = folder / "state.json"
        self.log_file = folder / "server.log"
        self.predictor = {
            "predictor": f"{artifact.name}-test-v3-00000000",
            "model": artifact.name,
            "model_version": "3",
            "environment": "test",
            "artifact": str(artifact),
            "python": sys.executable,
            "host": "127.0.0.1",
            "port": self.port,
            "state_file": str(self.state_file),
            "memory_bytes": None,
            "max_body_bytes": 1_000_000,
            "timeout_seconds": 30,
            "batching": {"enabled": True, "max_rows": 256},
            "drain_seconds": 5,
            **settings,
        }
        predictor_file = folder / "predictor.json"
        predictor_file.write_text(json.dumps(self.predictor), encoding="utf-8")
        with self.log_file.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "serving", str(predictor_file)],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", trust_env=False, timeout=60
        )

    @property
    def state(self) -> dict[str, Any]:
        return json.loads(self.state_file.read_bytes()) if self.state_file.exists() else {}

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8")

    def ready(self) -> Server:
        def is_ready() -> bool:
            if self.popen.poll() is not None:
                pytest.fail(f"the server ended with {self.popen.returncode}: {self.log}")
            with suppress(httpx.TransportError):
                return self.client.get("/v2/health/ready").status_code == 200
            return False

        wait_for(is_ready, "the model server ready", every=0.02)
        return self

    def infer(self, *inputs: dict[str, Any], **more: Any) -> httpx.Response:
        path = f"/v2/models/{self.predictor['model']}/infer"
        return self.client.post(path, json={"inputs": list(inputs), **more})

    def invoke(self, content: Any, **more: Any) -> httpx.Response:
        return self.client.post("/invocations", json=content, **more)

    def act(self, act: str, number: float = 1.0) -> httpx.Response:
        return self.invoke(
            {"dataframe_split": {"columns": ["act", "number"], "data": [[act, number]]}}
        )

    def metric(self, name: str) -> float:
        for line in self.client.get("/metrics").text.splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[1])
        raise LookupError(name)

    def wait(self, seconds: float = 60) -> int:
        return self.popen.wait(seconds)

    def stop(self) -> None:
        self.client.close()
        worker = self.state.get("worker_pid")
        with suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        if worker:
            wait_for(lambda: not lives(worker), "the worker gone")
