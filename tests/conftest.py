"""For every test: a busy machine fails none of them, and what a failing one used is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("support", "contract")

from support.record import pytest_configure  # noqa: E402 - the line above comes first

settings.register_profile("unhurried", settings(deadline=None))
settings.load_profile("unhurried")


LONGEST = (
    "tests/nightly/contract/test_seldon.py",
    "tests/nightly/contract/test_tfserving.py",
    "tests/nightly/contract/test_kubernetes_before.py",
    "tests/nightly/contract/test_kubernetes_after.py",
    "tests/nightly/contract/test_local.py",
    "tests/node/contract/test_kubernetes.py",
    "tests/node/e2e/test_seldon.py",
    "tests/node/e2e/test_kubernetes.py",
    "tests/node/e2e/test_two_deployers.py",
    "tests/node/smoke/test_runtimes.py",
    "tests/node/smoke/test_serving.py",
    "tests/node/e2e/test_pod_faults.py",
    "tests/servers/e2e/test_training.py",
    "tests/servers/contract/test_local.py",
    "tests/servers/e2e/test_failures.py",
    "tests/servers/serving/test_serving_faults.py",
    "tests/servers/e2e/test_crashes.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the modules that take longest, so that no worker is left alone with one."""

    def place(item: pytest.Item) -> int:
        here = (number for number, path in enumerate(LONGEST) if item.nodeid.startswith(path))
        return next(here, len(LONGEST))

    items.sort(key=place)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add the logs of the platforms that a failing test used."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if type(value).__module__.startswith(("support.platform", "contract.places")):
                report.sections.append(("logs of the platform", value.logs()))
