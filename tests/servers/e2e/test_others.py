"""Somebody else's program and route file, beside ours, stay as they are through all that we do."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import yaml
from support.models import log_models
from support.run.wait import wait_for

from stack.supervision.daemon import Daemon
from stack.supervision.supervisor import SERVING

PROGRAM = """[program:theirs]
command = {python} -S -c "import time; time.sleep(3600)"
startsecs = 0
"""
SOON: dict[str, Any] = {
    "registry": {"poll": "200ms", "listing": "1s"},
    "environments": {
        "prod": {
            "alias": "champion",
            "policy": {"retire_after": "1s", "retire_listings": 2},
            "overlay": {"rollout": {"drain": "1s"}},
        }
    },
}


def test_what_somebody_else_put_beside_ours_stays_as_it_is(make_platform):
    platform = make_platform("others", **SOON)
    dynamic, serving = platform.home / "gateway" / "dynamic", platform.home / "serving"
    theirs = {serving / "conf.d" / "theirs.conf": PROGRAM.format(python=sys.executable)}
    for name in ("theirs", "taken-prod"):  # the second is what ours would be called
        theirs[dynamic / f"{name}.yaml"] = yaml.safe_dump(route(name, platform))
    for path, text in theirs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    before = stamps(theirs)
    platform.up("mlflow", "gateway", "deployer")
    models = [{"name": "calm", "kind": "constant", "say": say} for say in (1, 2)]
    log_models(platform.url("mlflow"), [*models, {"name": "taken", "kind": "constant", "say": 1}])
    daemon = Daemon(serving, SERVING, None)

    def pid() -> int:
        seen = daemon.call("getProcessInfo", "theirs")
        return int(seen["pid"]) if seen["statename"] == "RUNNING" else 0

    def check() -> None:
        assert pid() == first
        assert stamps(theirs) == before
        for name in ("theirs", "taken-prod"):
            answer = platform.client.get(f"{platform.url('gateway')}/{name}/health")
            assert (answer.status_code, answer.text) == (200, "OK")

    platform.mlflow.alias("calm", "champion", 1)
    platform.wait_serving("calm", 1)
    first = wait_for(pid, "their program")
    check()
    platform.mlflow.alias("taken", "champion", 1)
    told = platform.wait("taken", lambda seen: "foreign" in seen["message"])
    assert str(dynamic / "taken-prod.yaml") in told["message"]
    assert told["next_step"].startswith("Give that file another name: mv ")
    check()
    platform.mlflow.alias("calm", "champion", 2)
    platform.wait_serving("calm", 2)
    check()
    deployer = Daemon(platform.home / "run", "schnitzel-platform", None)
    os.kill(deployer.call("getProcessInfo", "deployer")["pid"], signal.SIGKILL)
    platform.mlflow.drop_alias("calm", "champion")
    platform.wait("calm", lambda seen: seen["state"] == "Retired" and not seen["predictors"])
    check()
    platform.cli("down")
    assert stamps(theirs) == before


def route(name: str, platform: Any) -> dict[str, Any]:
    """A person's own route: to MLflow's health, below a prefix of its own."""
    server = {"url": platform.url("mlflow")}
    return {
        "http": {
            "routers": {
                f"{name}-own": {
                    "rule": f"PathPrefix(`/{name}/`)",
                    "service": f"{name}-own",
                    "middlewares": [f"{name}-own"],
                }
            },
            "middlewares": {f"{name}-own": {"stripPrefix": {"prefixes": [f"/{name}"]}}},
            "services": {f"{name}-own": {"loadBalancer": {"servers": [server]}}},
        }
    }


def stamps(files: dict[Path, str]) -> dict[Path, tuple[int, int, str]]:
    """Each file as it is: the very file, when it was written, and what it says."""
    return {p: (p.stat().st_ino, p.stat().st_mtime_ns, p.read_text()) for p in files}
