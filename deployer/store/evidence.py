"""Keep what rollouts were judged by: the windows for a day, the verdict of each step for good."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final

import orjson

from deployer.state.evidence import Arm, Buckets, Trial, Window
from deployer.store.sqlite import Transactions

KEPT_WINDOWS: Final = 8_640
"""The windows of a day."""

PRUNED_EACH: Final = 360
"""The windows of an hour."""


class EvidenceStore:
    """The evidence of all rollouts, in the Deployer's database."""

    def __init__(self, database: Transactions) -> None:
        self._database = database
        self._pruned = 0

    def append(self, trial: Trial, windows: Iterable[tuple[int, Window]]) -> None:
        """Keep windows with the step that each belongs to; one that is there already stays."""
        rows = [(*trial, step, one.number, _pack(one)) for step, one in windows]
        with self._database.transaction() as connection:
            for row in rows:
                connection.execute(
                    "INSERT INTO evidence "
                    "(deployment, subject, began, policy, step, number, body) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    row,
                )
            last = max((row[-2] for row in rows), default=0)
            if last - self._pruned >= PRUNED_EACH:
                old = last - KEPT_WINDOWS
                connection.execute("DELETE FROM evidence WHERE number < ?", [old])
                self._pruned = last

    def windows(self, trial: Trial) -> list[tuple[int, Window]]:
        """Return the windows of a trial in their order, each with its step."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT step, number, body FROM evidence "
                "WHERE deployment = ? AND subject = ? AND began = ? AND policy = ? "
                "ORDER BY number",
                list(trial),
            ).fetchall()
        return [(step, _unpack(number, bytes(body))) for step, number, body in rows]

    def latest(self, trial: Trial, count: int) -> list[Window]:
        """Return the first window of a trial, and behind it its last ones, in their order."""
        mine = "WHERE deployment = ? AND subject = ? AND began = ? AND policy = ? ORDER BY number"
        with self._database.transaction() as connection:
            found = {
                number: body
                for order, limit in (("", 1), (" DESC", count))
                for number, body in connection.execute(
                    f"SELECT number, body FROM evidence {mine}{order} LIMIT ?",  # noqa: S608
                    [*trial, limit],
                ).fetchall()
            }
        return [_unpack(number, bytes(body)) for number, body in sorted(found.items())]

    def note(self, trial: Trial, step: int, at: float, body: Mapping[str, Any]) -> None:
        """Keep the last verdict of a step."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO verdicts (deployment, subject, began, policy, step, at, body) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (deployment, subject, began, policy, step) "
                "DO UPDATE SET at = excluded.at, body = excluded.body",
                [*trial, step, at, orjson.dumps(body).decode()],
            )

    def verdicts(self, deployment: str, limit: int = 50) -> list[tuple[Trial, int, dict[str, Any]]]:
        """Return the last verdicts on the steps of a deployment's rollouts, newest first."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT subject, began, policy, step, body FROM verdicts "
                "WHERE deployment = ? ORDER BY at DESC LIMIT ?",
                [deployment, limit],
            ).fetchall()
        return [
            (Trial(deployment, subject, began, policy), step, orjson.loads(body))
            for subject, began, policy, step, body in rows
        ]


def _pack(window: Window) -> bytes:
    found = asdict(window)
    for arm in (found["candidate"], found["champion"]):
        if not arm["asked"]:  # a release that asks nothing reads it, too
            del arm["asked"]
    return zlib.compress(orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS))


def _unpack(number: int, body: bytes) -> Window:
    found = orjson.loads(zlib.decompress(body))
    return Window(
        number,
        found["until"],
        _arm(found["candidate"]),
        _arm(found["champion"]),
        _buckets(found["reference"]),
    )


def _arm(found: Mapping[str, Any]) -> Arm:
    return Arm(**{**found, "seconds": _buckets(found["seconds"]), "bins": _buckets(found["bins"])})


def _buckets(found: Mapping[str, int]) -> Buckets:
    return {int(index): count for index, count in found.items()}
