"""A platform's secrets, each recognisable, and where one turned up that no secret may be in.

All of one platform begin with the same mark. It is looked for as it is and in base64, so that one
look at a file finds any of them: also one that was cut short, or is half of an HTTP header.
"""

from __future__ import annotations

import base64
import getpass
import json
import os
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from fnmatch import fnmatch
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from stack import credentials
from stack.files import write_private
from stack.paths import Layout
from stack.supervision.processes import MARKER

INDEX, MLFLOW, WEBHOOKS = "IndexPassword", "MlflowPassword", "WebhookEncryptionKey"
FERNET, JWT, API = "AirflowFernetKey", "AirflowJwtSecret", "AirflowApiSecret"
FETCH, STORE = "FetchPassword", "ObjectStoreKey"
"""What pods of a cluster fetch a model's files with, of MLflow and of its object store."""

FILES: dict[str, set[str]] = {
    "token": {"Token"},  # its owner's, for the command line
    "secrets/*": {"AirflowPassword", "WebhookSecret", WEBHOOKS, FERNET, JWT, API},  # where they are
    "mlflow-password": {MLFLOW},  # mlflow.password_ref names this file
    "run/programs/mlflow.json": {WEBHOOKS},  # MLflow encrypts with it what it keeps of webhooks
    "run/programs/deployer.json": {MLFLOW},  # a client of MLflow, by its variables
    "run/programs/airflow-*.json": {MLFLOW},  # the same, for the steps of pipelines
    "airflow/airflow.cfg": {FERNET, JWT, API},  # Airflow's own file
}
"""The files of a home that must hold secrets, and which; each is its owner's alone."""

PROGRAMS: dict[str, set[str]] = {
    "mlflow": {INDEX, WEBHOOKS},
    "deployer": {INDEX, MLFLOW},  # it asks MLflow, and has uv fetch packages
    "airflow-*": {INDEX, MLFLOW},  # so do the steps of pipelines
    "gateway": {INDEX},
}
"""The components that have secrets in their environments, and which. All have what the shell had
in which `up` was typed, the index's password; no model server has any."""

FETCHES = b"-m\0serving.artifact\0", b"\0mlflow-artifacts:"
"""In the command line of an init container that fetches a model's files: ours, or Seldon's."""
STEP = b"SCHNITZEL_RUN_ID="
"""In the environment of a step of a pipeline, which is a client of MLflow."""
BUILDS = b"DOCKER_CONFIG=/etc/registry"
"""In the environment of what runs in a container that builds an environment."""


class Canaries:
    """The secrets of a platform, and what was found of them.

    Args:
        home: the platform's.
        host: an address of this machine, for the package index that asks for a password.
    """

    def __init__(self, home: Path, host: str = "127.0.0.1") -> None:
        self.home = home
        self.mark = f"canary{secrets.token_hex(4)}"
        self.found: set[str] = set()
        self._began = time.time()
        self._seen: dict[str, int] = {}
        self.index = self.index_at(host)
        plain = self.mark.encode()
        coded = [base64.b64encode(bytes(shift) + plain) for shift in range(3)]
        self._looks = [plain, *(text[4 if shift else 0 : 16] for shift, text in enumerate(coded))]

    def value(self, name: str) -> str:
        """Make a secret of a name in letters; of a length that serves as a Fernet key."""
        text = f"{self.mark}{name}"
        return text + "".join(secrets.choice("0123456789") for _ in range(43 - len(text)))

    def index_at(self, host: str) -> str:
        """A package index with a password and without packages, at an address of this machine."""
        return f"http://tests:{self.value(INDEX)}@{host}:{_empty_index(host)}/simple"

    def plant(self) -> dict[str, str]:
        """Give the home its secrets; returns the environment of a shell that names the others."""
        layout, password = Layout(self.home), self.home / "mlflow-password"
        layout.secrets.mkdir(mode=0o700)
        files = {
            layout.token: f"{getpass.getuser()}:{self.value('Token')}",
            layout.airflow_passwords: json.dumps({"admin": self.value("AirflowPassword")}),
            layout.webhook_secret: self.value("WebhookSecret"),
            layout.webhook_encryption_key: f"{self.value(WEBHOOKS)}=",
            layout.secrets / "airflow-fernet-key": f"{self.value(FERNET)}=",
            layout.secrets / "airflow-jwt-secret": self.value(JWT),
            layout.secrets / "airflow-api-secret": self.value(API),
            password: self.value(MLFLOW),
        }
        for path, text in files.items():
            write_private(path, f"{text}\n")
        credentials.ensure(layout)
        return {
            "UV_INDEX": self.index,
            "SCHNITZEL_MLFLOW__USERNAME": "tests",
            "SCHNITZEL_MLFLOW__PASSWORD_REF": f"file:{password}",
        }

    def names(self, data: bytes) -> set[str]:
        """Which of the secrets are in some bytes."""
        plain, *coded = self._looks
        found = {"a secret in base64" for text in coded if text in data}
        if plain in data:
            found |= {m[1].decode() for m in re.finditer(plain + rb"([A-Za-z]*)", data)}
        return found

    def look_into(self, where: str, data: bytes, may: Iterable[str] = ()) -> None:
        """Note what is found in some bytes and may not be there."""
        self.found |= {f"{name} in {where}" for name in self.names(data) - set(may)}

    def look_at_commands(self, proc: Path = Path("/proc")) -> None:
        """Look at each new command line twice, since a new process first has its parent's."""
        pids = {name for name in os.listdir(proc) if name.isdigit()}  # noqa: PTH208 - quicker
        self._seen = {pid: times for pid, times in self._seen.items() if pid in pids}
        for pid in pids:
            if self._seen.setdefault(pid, 0) < 2:
                self._seen[pid] += 1
                command = _read(proc / pid / "cmdline")
                self.look_into(f"a command line: {self._shown(command)}", command)

    def look_at_processes(self, proc: Path = Path("/proc")) -> None:
        """Look at every command line and every environment."""
        self._seen = {}
        self.look_at_commands(proc)
        for pid in self._seen:
            environment = _read(proc / pid / "environ")
            if self.names(environment):
                command = _read(proc / pid / "cmdline")
                may = self._may_have(environment, command, proc / pid)
                shown = f"the environment of: {self._shown(command)}"
                self.look_into(shown, environment, may)

    def look_at_files(self, cached: Path | None = None) -> None:
        """Look at every file of the home, and at what the builds wrote to the cache.

        Databases, logs, routes and records are among them.
        """
        for path in _files(self.home):
            name = path.relative_to(self.home).as_posix()
            data = _read(path)
            may = _kept_by(name, FILES)
            self.look_into(name, data, may)
            if may & self.names(data) and path.stat().st_mode & 0o077:
                self.found.add(f"{name} is not its owner's alone")
        logs = [*cached.glob("locks/*"), *cached.glob("environments/*.log")] if cached else []
        for path in logs:
            with suppress(FileNotFoundError):
                if path.is_file() and path.stat().st_mtime >= self._began:
                    self.look_into(f"the cache's {path.name}", _read(path))

    def check(self) -> None:
        """Fail with all that was found."""
        assert not self.found, "secrets where none may be:\n" + "\n".join(sorted(self.found))

    def _may_have(self, environment: bytes, command: bytes, process: Path) -> set[str]:
        """Which secrets a process has to have in its environment."""
        arguments = command.split(b"\0")
        for line in environment.split(b"\0"):
            name, _, value = line.decode(errors="replace").partition("=")
            if name == MARKER:
                program = value.rpartition(":")[2]
                return {
                    one for glob in PROGRAMS if fnmatch(program, glob) for one in PROGRAMS[glob]
                }
        if b"supervisor.supervisord" in arguments:
            with suppress(OSError):
                return {INDEX} if (process / "cwd").readlink() == self.home / "run" else set()
        if any(part in command for part in FETCHES):
            return {FETCH, STORE}
        if BUILDS in environment:
            return {INDEX}
        if STEP in environment:
            return {MLFLOW}
        # What a test started itself, as a person does in a shell.
        ours = b"deployer", b"cli", b"stack"
        return {INDEX} if any(b"-m\0" + name in command for name in ours) else set()

    def _shown(self, command: bytes) -> str:
        text = command.replace(b"\0", b" ").decode(errors="replace")[:200]
        return text.replace(self.mark, "***")


def _kept_by(name: str, holders: Mapping[str, set[str]]) -> set[str]:
    return {one for glob, kept in holders.items() if fnmatch(name, glob) for one in kept}


def _files(folder: Path) -> Iterable[Path]:
    for where, _, names in os.walk(folder):
        for name in names:
            path = Path(where, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it is gone
        return b""


@cache
def _empty_index(host: str) -> int:
    """Run a package index that has nothing, as long as the tests run; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.send_header("content-length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815 - as the base class names it

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((host, 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    return server.server_port
