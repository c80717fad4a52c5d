"""One quick platform (MLflow, gateway, Deployer) for many tests, with models of every fate."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from models import log_models
from platform_home import PlatformHome

BAD: dict[str, dict[str, Any]] = {
    "load-error": {},
    "refuses-example": {},
    "answers-text": {},
    "slow-load": {"serving": {"rollout": {"ready_timeout": "4s"}}},
    "dies-at-load": {},
    "eats-memory": {"serving": {"resources": {"memory": "600Mi"}}},
    "no-such-package": {
        "kind": "constant",
        "requirements": ["mlflow==3.17.2", "no-such-package-of-schnitzel==1.2.3"],
    },
    "no-such-python": {"kind": "constant", "python": "3.4.1"},
    "no-artifact": {"kind": "constant"},
    "bad-spec": {"kind": "constant", "serving_text": "replicas: many\n"},
    "over-limit": {"kind": "constant", "serving": {"replicas": 10_000}},
}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failing end-to-end test shows the logs of the platform that it used."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, PlatformHome):
                report.sections.append(("logs of the platform", value.logs()))


@pytest.fixture(scope="session")
def make_platform(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., PlatformHome]]:
    """Make platforms in homes of their own; all are stopped and deleted at the end."""
    made: list[PlatformHome] = []

    def make(name: str, **settings: Any) -> PlatformHome:
        home: Path = tmp_path_factory.mktemp(name) / "home"
        made.append(PlatformHome(home, settings))
        return made[-1]

    yield make
    for platform in made:
        platform.down()
        shutil.rmtree(platform.home, ignore_errors=True)


@pytest.fixture(scope="session")
def quick(make_platform: Callable[..., PlatformHome]) -> PlatformHome:
    # What failed for a passing cause is not tried again while a test looks at it.
    # How many models there are does not matter to how many may retire.
    policy = {"retry_first": "5m", "retire_window": "20s", "max_retirement_share": 0}
    platform = make_platform("quick", policy=policy)
    platform.up("mlflow", "gateway", "deployer")
    names = ("aliased", "archived", "gone-a", "gone-b", "clicked-stage", "clicked-alias")
    models = [{"name": name, "kind": "constant", "say": say} for name in names for say in (1, 2)]
    twins = {"kind": "constant", "serving": {"replicas": 2}}
    models += [{"name": "twins", "say": say} | twins for say in (1, 2)]
    for name, how in BAD.items():
        models.append({"name": name, "kind": "constant", "say": 1})
        models.append({"name": name, "kind": name, "say": 2} | how)
    log_models(platform.url("mlflow"), models)
    return platform
