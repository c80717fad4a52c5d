"""The Deployer ends at SIGTERM without waiting for what is under way, none of which ever ends."""

from __future__ import annotations

import re
import signal
import sys

import pytest
from support.faults.proxy import FaultyProxy, Silence
from support.models import log_models
from support.run.process import Running
from support.run.wait import wait_for
from support.systems.mlflow import MlflowServer

from stack.platform import Layout, platform_supervisor
from stack.supervision.processes import entry, table, with_descendants

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture
def silence():
    made = Silence()
    yield made
    made.close()


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory):
    server = MlflowServer(tmp_path_factory.mktemp("ending") / "mlflow").start()
    yield server
    server.close()


@pytest.fixture(scope="module")
def proxy(mlflow):
    made = FaultyProxy(mlflow.url)
    yield made
    made.close()


@pytest.fixture(scope="module")
def platform(make_platform, proxy):
    """A platform whose Deployer the tests start themselves."""
    made = make_platform("ending", mlflow={"url": proxy.url}, gateway={}, deployer={})
    made.up("gateway", "deployer")
    platform_supervisor(Layout(made.home)).remove("deployer", grace=6)
    return made


@pytest.fixture
def deployer(platform, proxy, request):
    proxy.hold = None
    proxy.held.clear()
    env = platform.env | {
        "SCHNITZEL_GATEWAY__URL": platform.url("gateway"),
        "SCHNITZEL_GATEWAY__API_URL": platform.url("gateway_api"),
        "SCHNITZEL_DEPLOYER__PORT": str(platform.port("deployer")),
    }
    log = platform.home / "logs" / f"{request.node.name}.log"
    running = Running([sys.executable, "-m", "deployer", "run"], log, env)
    yield platform, running
    running.stop()


def predictor(platform, model: str) -> dict:
    found = platform.deployment(model).get("predictors") or [{}]
    return found[0]


def test_it_ends_with_a_build_a_fetch_an_example_and_a_retirement_under_way(
    deployer, mlflow, proxy, silence
):
    platform, running = deployer
    slow = {"kind": "slow-answer", "serving": {"rollout": {"drain": "1h"}}}
    log_models(
        mlflow.url,
        [
            {"name": "built", "kind": "constant",
             "requirements": [f"silent @ {silence.url}/silent-1.0-py3-none-any.whl"]},
            {"name": "fetched", "kind": "constant"},
            {"name": "asked", **slow},
            {"name": "leaving", **slow},
        ],
    )  # fmt: skip
    proxy.hold = re.compile(r"\?path=.*fetched-1")
    for model in ("asked", "leaving", "built", "fetched"):
        mlflow.stage(model, 1, "Production")
    for model in ("asked", "leaving"):
        wait_for(
            lambda m=model: predictor(platform, m).get("example") == "asked", "a question", 240
        )
    assert silence.reached.wait(60), "no build began"
    assert proxy.held.wait(60), "no fetch began"
    mlflow.stage("leaving", 1, "Archived")
    platform.wait("leaving", lambda d: not d["predictors"])

    processes = table()
    children = [processes[p] for p in with_descendants({running.pid}, processes) - {running.pid}]
    assert children, "no build runs"
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(60) == 0
    assert [c for c in children if (now := entry(c.pid)) and now.start == c.start] == []
    assert "Traceback" not in running.log.read_text()


def test_it_ends_while_mlflow_hangs(deployer, mlflow, proxy):
    _, running = deployer
    wait_for(lambda: "the registry is read" in running.log.read_text(), "its first look")
    proxy.hold = re.compile("")
    assert proxy.held.wait(60)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(60) == 0
    assert "Traceback" not in running.log.read_text()
