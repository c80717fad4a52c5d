"""For every test: a busy machine fails none of them, and what a failing one used is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("support", "contract")

from support import record  # noqa: E402 - after the line above, which it is under

settings.register_profile("unhurried", settings(deadline=None))
settings.load_profile("unhurried")


def pytest_configure(config: pytest.Config) -> None:
    record.register(config)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add the logs of the platforms that a failing test used."""
    outcome: Any = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if type(value).__module__.startswith(("support.platform", "contract.places")):
                report.sections.append(("logs of the platform", value.logs()))
