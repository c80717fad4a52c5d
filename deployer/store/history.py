"""Keep an append-only history of intents, outcomes and operators' requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deployer.store.sqlite import Transactions

UNKNOWN = "unknown (MLflow)"
DEPLOYER = "deployer"


@dataclass(frozen=True, slots=True)
class Event:
    """A line of a deployment's history; `kind` is intent, outcome or operator."""

    deployment: str
    kind: str
    action: str
    before: str | None
    after: str | None
    why: str
    who: str
    detail: str = ""


def by_operator(deployment: str, action: str, who: str, detail: str = "") -> Event:
    """Build the event of what an operator asked for."""
    return Event(deployment, "operator", action, None, None, "a person asked", who, detail)


class History:
    """The history of all deployments; the table itself refuses to change or lose a row."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    def append(self, event: Event, at: float) -> None:
        """Append a line, which is on disk when the call returns."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO history "
                "(at, deployment, kind, action, before, after, why, who, detail) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    at, event.deployment, event.kind, event.action, event.before, event.after,
                    event.why, event.who, event.detail,
                ],
            )  # fmt: skip

    def of(self, deployment: str, limit: int = 50) -> list[dict[str, Any]]:
        """Return the newest lines of a deployment, oldest first, in the format of the API."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT sequence, at, kind, action, before, after, why, who, detail FROM history "
                "WHERE deployment = ? ORDER BY sequence DESC LIMIT ?",
                [deployment, limit],
            ).fetchall()
        return [
            {
                "sequence": row[0],
                "at": datetime.fromtimestamp(row[1], UTC).isoformat(timespec="milliseconds"),
                "deployment": deployment,
                "kind": row[2],
                "action": row[3],
                "from": row[4],
                "to": row[5],
                "why": row[6],
                "who": row[7],
                "detail": row[8],
            }
            for row in reversed(rows)
        ]
