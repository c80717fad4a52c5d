"""Count what became of messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.telemetry.metrics import Counter

if TYPE_CHECKING:
    from serving.telemetry.instruments import Instruments

ROUTE = "queue"
"""The route of messages in the metrics that they share with requests."""


class Counts:
    """The counters of the queue; answers also count as evidence, as those of requests do."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._messages = Counter(
            "schnitzel_messages_total",
            "Messages, by what became of them: answered, dead or given_back.",
            ("end",),
        )
        self._dead = Counter(
            "schnitzel_dead_letters_total", "Dead letters, by their reason.", ("reason",)
        )
        self._troubles = Counter(
            "schnitzel_messages_troubles_total", "How often consuming stopped.", ("reason",)
        )
        instruments.add(self._messages, self._dead, self._troubles)

    def answered(self, status: int, seconds: float, outcome: str) -> None:
        """Count an answer of the model, an error as well, and the seconds that it took."""
        self._instruments.record_answer(ROUTE, status, seconds, outcome)
        if status < 400:
            self._messages.add("answered")

    def dead(self, reason: str) -> None:
        """Count a dead letter."""
        self._messages.add("dead")
        self._dead.add(reason)

    def given_back(self) -> None:
        """Count a message that another consumer shall answer."""
        self._messages.add("given_back")

    def trouble(self, reason: str) -> None:
        """Count the end of a session."""
        self._troubles.add(reason)
