"""A platform in a home of its own, and what tests ask of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml

from support.canaries import Canaries
from support.run.ports import free_port
from support.run.wait import wait_for
from support.systems.databases import airflow_database, mlflow_database
from support.systems.mlflow import MlflowServer

PART = "import sys; from stack import platform; platform.up(only=sys.argv[1].split(','))"
QUICK: dict[str, Any] = {
    "registry": {"poll": "1s", "listing": "3s"},
    "environments": {
        "staging": {"stage": "Staging", "alias": "staging"},
        "prod": {
            "stage": "Production",
            "alias": "champion",
            "policy": {"retire_after": "8s", "retire_listings": 2},
            "overlay": {"rollout": {"drain": "1s"}},
        },
    },
    "policy": {"retry_first": "2s", "retire_window": "20s"},
    "defaults": {"rollout": {"bake": 0, "return_window": 0}},
}


class PlatformHome:
    """One platform: its home, its ports, its parts.

    Args:
        home: its folder.
        settings: of platform.yaml; by section, in place of the quick ones.
        whole: whether it starts its MLflow itself, as a person's does. Others are attached to one
            that is started in half a second, in place of ten.
    """

    def __init__(
        self, home: Path, settings: Mapping[str, Any] | None = None, *, whole: bool = False
    ) -> None:
        self.home, self._whole = home, whole
        home.mkdir(parents=True, exist_ok=True)
        chosen = {**QUICK, **(settings or {})}
        if not whole and "mlflow" not in chosen:
            self.mlflow = MlflowServer(home / "mlflow")
            chosen["mlflow"] = {"url": self.mlflow.url}
        for section, fields in [
            ("mlflow", ["port"]), ("airflow", ["port"]), ("deployer", ["port"]),
            ("gateway", ["port", "api_port"]),
        ]:  # fmt: skip
            ports = {field: free_port() for field in fields}
            chosen[section] = ports | dict(chosen.get(section, {}))
        (home / "platform.yaml").write_text(yaml.safe_dump(chosen))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SCHNITZEL_", "MLFLOW_"))}
        self.env = kept | {
            "SCHNITZEL_HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "NO_COLOR": "1",
        }
        if "SCHNITZEL_CACHE" in os.environ:
            self.env["SCHNITZEL_CACHE"] = os.environ["SCHNITZEL_CACHE"]
        self.canaries = Canaries(home)
        self.env |= self.canaries.plant()
        self.client = httpx.Client(timeout=30, trust_env=False)

    def up(self, *parts: str) -> None:
        """Start these parts (all, if none is named) and wait until they are healthy."""
        if not parts:
            mlflow_database(self.home / "mlflow" / "mlflow.db")
            airflow_database(self.home / "airflow" / "airflow.db")
            self.cli("up")
            return
        own = [part for part in parts if part != "mlflow" or self._whole]
        if len(own) < len(parts) and not self.mlflow.running:
            self.mlflow.start()
        done = subprocess.run(
            [sys.executable, "-c", PART, ",".join(own)],
            env=self.env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stderr}\n{self.logs()}"

    def down(self) -> None:
        self.client.close()
        self.canaries.look_at_processes()
        self.cli("down")
        if "mlflow" in self.__dict__:
            self.mlflow.close()
        self.canaries.look_at_files(self.cache)
        self.canaries.check()

    @property
    def cache(self) -> Path:
        """What its Deployer keeps beside its home."""
        return Path(self.env.get("SCHNITZEL_CACHE") or "~/.cache/schnitzel").expanduser()

    def cli(self, *arguments: str, code: int = 0, seconds: float = 600, stdin: str = "") -> str:
        """Run the command as a person would; its standard output."""
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments], env=self.env, capture_output=True,
            text=True, check=False, timeout=seconds, input=stdin,
        )  # fmt: skip
        said = f"schnitzel {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == code, f"{said}\n{self.logs()}"
        return done.stdout

    def port(self, name: str) -> int:
        return int(json.loads((self.home / "ports.json").read_text())[name])

    def url(self, name: str) -> str:
        if name == "mlflow":
            return self.mlflow.url
        return f"http://127.0.0.1:{self.port(name)}"

    @cached_property
    def mlflow(self) -> MlflowServer:
        """Its MLflow; of a whole platform only the REST API."""
        return MlflowServer(self.home / "mlflow", self.port("mlflow"))

    def api(self, path: str) -> Any:
        answer = self.client.get(f"{self.url('deployer')}/api/v1/{path}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def reconcile(self) -> None:
        """Have the Deployer look at everything now."""
        token = (self.home / "token").read_text().strip().rpartition(":")[2]
        answer = self.client.post(
            f"{self.url('deployer')}/api/v1/reconcile",
            json={},
            headers={"Authorization": f"Bearer {token}"},
        )
        assert answer.is_success, answer.text

    def passed_over(self, model: str, environment: str = "prod", times: int = 2) -> dict[str, Any]:
        """Have the Deployer pass over a deployment so many times more; at rest it seldom does."""
        seen = self.wait(model, bool, environment)
        for _ in range(times):
            before = seen["observed_at"]
            self.reconcile()
            seen = self.wait(model, lambda d, before=before: d["observed_at"] > before, environment)
        return seen

    def deployment(self, model: str, environment: str = "prod") -> dict[str, Any]:
        try:
            answer = self.client.get(
                f"{self.url('deployer')}/api/v1/deployments",
                params={"model": model, "environment": environment},
            )
        except httpx.HTTPError:
            return {}
        found = answer.json()["deployments"] if answer.status_code == 200 else []
        return found[0] if found else {}

    def wait(
        self,
        model: str,
        what: Callable[[dict[str, Any]], bool],
        environment: str = "prod",
        seconds: float = 300,
    ) -> dict[str, Any]:
        """Wait until a deployment is as described; the error shows how it was last, and logs."""
        last: dict[str, Any] = {}

        def look() -> dict[str, Any] | None:
            nonlocal last
            self.canaries.look_at_commands()
            last = self.deployment(model, environment) or last
            return last if last and what(last) else None

        try:
            return wait_for(look, f"{model}@{environment}", seconds, 0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(last, indent=1)}\n{self.logs()}") from None

    def wait_serving(
        self, model: str, version: int, environment: str = "prod", seconds: float = 300
    ) -> dict[str, Any]:
        def serves(seen: dict[str, Any]) -> bool:
            shares = {p["version"]: p["weight"] for p in seen["predictors"] if p["weight"]}
            return (
                seen["state"] == "Serving"
                and seen["serving"] == {"version": str(version)}
                and shares == {str(version): 100}
            )

        return self.wait(model, serves, environment, seconds)

    def predict(self, url: str, rows: int = 1) -> httpx.Response:
        return self.client.post(
            f"{url}invocations",
            json={"dataframe_split": {"columns": ["x"], "data": [[1.0]] * rows}},
        )

    def logs(self, lines: int = 40) -> str:
        """The end of every log, for the message of a test that failed."""
        told = []
        for path in sorted([*(self.home / "logs").rglob("*.log"), *self.home.glob("mlflow/*.log")]):
            text = path.read_text(errors="replace").splitlines()[-lines:]
            told.append(f"----- {path.relative_to(self.home)}\n" + "\n".join(text))
        return "\n".join(told)[-30_000:]


def alive_with(text: str) -> Iterable[int]:
    """Pids of processes whose command line or environment mentions a text (a home, mostly)."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            told = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue
        if text.encode() in told:
            yield int(folder.name)
