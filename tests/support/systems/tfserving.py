"""The stand-in for TensorFlow Serving, in an environment of its own; and SavedModels for it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from support import ROOT
from support.run.ports import free_port
from support.run.process import Running
from support.run.wait import wait_for

PROGRAM = ROOT / "tests" / "standins" / "tfserving" / "tensorflow_model_server.py"
STUB = PROGRAM.with_name("stub.py")
PINNED = ROOT / "examples" / "angler" / "requirements.txt"
NEEDED = ["tensorflow-cpu", "grpcio"]
# Its protobuf messages only: it asks for `tensorflow`, which `tensorflow-cpu` is.
MESSAGES = "tensorflow-serving-api==2.21.0"
VERSION = "3"
ENV = {
    **{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")},
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "CUDA_VISIBLE_DEVICES": "",
}


def interpreter() -> Path:
    """Return the Python that has TensorFlow and TensorFlow Serving's messages; made once."""
    cache = Path(os.environ.get("SCHNITZEL_CACHE") or "~/.cache/schnitzel").expanduser()
    wanted = "\n".join([*NEEDED, MESSAGES, PINNED.read_text(encoding="utf-8")])
    folder = cache / "tests" / f"tfserving-{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            uv = [str(Path(sys.executable).with_name("uv"))]
            env = {**ENV, "UV_CACHE_DIR": str(cache / "uv")}
            into = [*uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python")]
            for command in (
                [*uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
                [*into, "--compile-bytecode", "--constraints", str(PINNED), *NEEDED],
                [*into, "--no-deps", MESSAGES],
            ):
                done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stderr
            (folder / "done").touch()
    return folder / "bin" / "python"


def run(program: Path, *arguments: str | Path) -> str:
    """Run a program of the tests' there; return what it printed."""
    command = [str(interpreter()), "-P", str(program), *map(str, arguments)]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


BATCHING = (
    "max_batch_size { value: 65536 } enable_large_batch_splitting { value: true } "
    "max_execution_batch_size { value: 256 }"
)
"""As in the chart: a request may have many rows, and is computed in pieces."""


class ModelServer:
    """A stand-in with models (folders of SavedModels, by name), each as VERSION of its own."""

    def __init__(
        self,
        folder: Path,
        models: dict[str, Path],
        *,
        rest_port: int = 0,
        stub: bool = False,
        **flags: Any,
    ) -> None:
        self.grpc_port, self.rest_port = free_port(), rest_port or free_port()
        self.url = f"http://127.0.0.1:{self.rest_port}"
        configs = []
        for name, saved_model in models.items():
            base = folder / "models" / name
            base.mkdir(parents=True, exist_ok=True)
            if not (base / VERSION).is_symlink():
                (base / VERSION).symlink_to(saved_model)
            configs.append(
                f'config {{ name: "{name}" base_path: "{base}" model_platform: "tensorflow" '
                f"model_version_policy {{ specific {{ versions: {VERSION} }} }} "
                f'version_labels {{ key: "test" value: {VERSION} }} }}'
            )
        self._first = next(iter(models))
        files = {
            "model_config_file": f"model_config_list {{ {' '.join(configs)} }}",
            "monitoring_config_file": 'prometheus_config { enable: true path: "/metrics/tf" }',
            "batching_parameters_file": BATCHING,
        }
        given: dict[str, Any] = {
            "port": self.grpc_port,
            "rest_api_port": self.rest_port,
            "allow_version_labels_for_unavailable_models": "true",
            "enable_batching": "true",
            "max_num_load_retries": 0,
        }
        for name, text in files.items():
            path = folder / f"{name}.pbtxt"
            path.write_text(text, encoding="utf-8")
            given[name] = path
        command = [sys.executable, str(STUB)] if stub else [str(interpreter()), str(PROGRAM)]
        command += [f"--{name}={value}" for name, value in {**given, **flags}.items()]
        self.running = Running(command, folder / "tfserving.log", ENV)

    @property
    def log(self) -> str:
        return self.running.log.read_text(encoding="utf-8")

    def ready(self) -> ModelServer:
        def is_ready() -> bool:
            if self.running.process.poll() is not None:
                pytest.fail(f"the stand-in ended: {self.log}")
            try:
                return self.get(f"/v1/models/{self._first}").status_code == 200
            except httpx.TransportError:
                return False

        wait_for(is_ready, "TensorFlow Serving's stand-in ready", seconds=120)
        return self

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", trust_env=False, timeout=60)

    def post(self, path: str, content: Any) -> httpx.Response:
        how = {"content": content} if isinstance(content, bytes | str) else {"json": content}
        return httpx.post(f"{self.url}{path}", trust_env=False, timeout=60, **how)

    def stop(self) -> None:
        self.running.stop()
