"""Draw the table of the stack's components."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.views.deployments import duration
from cli.views.output import table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stack.components.status import Status


def components_table(components: Sequence[Status]) -> str:
    """Draw the components: health, URL, version, process, and the reason of bad health."""
    rows = [
        (
            each.name,
            each.health,
            each.url or "-",
            each.version or "-",
            "attached" if each.attached else each.pid or "-",
            "" if each.uptime_seconds is None else duration(each.uptime_seconds),
            each.detail,
        )
        for each in components
    ]
    headers = ("COMPONENT", "HEALTH", "URL", "VERSION", "PID", "UP", "DETAIL")
    return table(headers, rows)
