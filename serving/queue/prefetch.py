"""Decide how many messages may be in flight. Pure.

AMQP counts messages, and RabbitMQ does not know a limit of bytes. So the number follows the sizes.
"""

from __future__ import annotations

IN_FLIGHT = 256
"""Messages in flight of a server that consumes all the time: as many as one batch has rows."""
IN_FLIGHT_BY_TURNS = 32
"""Messages in flight of a server that consumes by turns: what it takes beyond its turn."""
LEARNED = 8
"""Messages whose sizes are seen before more than fit at their largest are in flight."""
REMEMBERED = 60.0
"""Seconds for which, at least, the largest message is remembered."""


class Prefetch:
    """The number of messages in flight, by what is known of them.

    It begins with one. Messages that were delivered before are taken one at a time: a server may
    have died of one of them, and a queue that counts deliveries must count none for the others.

    Args:
        most_bytes: of all messages in flight, and of their answers.
        largest: the bytes of the largest message that is answered.
    """

    def __init__(self, most_bytes: int, largest: int) -> None:
        self._most_bytes, self._largest = most_bytes, largest
        self._seen = 0
        self._before = self._now = 0
        self._turned = float("-inf")
        self._suspects, self._fresh = 0, False

    @property
    def _careful(self) -> bool:
        return self._suspects > 0 or not self._fresh

    def took(self, *, redelivered: bool) -> bool:
        """Note a delivered message; return whether `number` may be another one now."""
        before = self._careful
        self._fresh = not redelivered
        self._suspects += redelivered
        return before != self._careful

    def ended(self) -> bool:
        """Note the end of a redelivered message; return whether `number` may be another one now."""
        self._suspects -= 1
        return not self._careful

    def saw(self, size: int, now: float) -> bool:
        """Note the bytes of a message with its answer; return whether `number` may be another."""
        self._seen += 1
        if now - self._turned > REMEMBERED:
            self._turned, self._before, self._now = now, self._now, 0
        if size > self._now:
            self._now = size
            return True
        return self._seen == LEARNED

    def number(self, wanted: int) -> int:
        """Return how many messages may be in flight, at most `wanted`; a power of two below it."""
        if self._careful:
            return 1
        largest = max(self._before, self._now, 1)
        if self._seen < LEARNED:
            largest = max(largest, self._largest)
        fitting = max(1, self._most_bytes // largest)
        return wanted if fitting >= wanted else 1 << (fitting.bit_length() - 1)
