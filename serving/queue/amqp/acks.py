"""Decide with which frames messages are acknowledged. Pure."""

from __future__ import annotations


class Acks:
    """The delivery tags of one channel, which the broker counts from 1.

    Tags that end in an unbroken run are acknowledged by one frame. A tag behind one that is still
    in flight gets a frame of its own: a message that takes long holds no other back.
    """

    def __init__(self) -> None:
        self._all_ended_up_to = 0
        self._ended: set[int] = set()
        """Tags beyond it that the broker knows to have ended."""

    def given_back(self, tag: int) -> None:
        """Note a message that another frame has ended."""
        self._ended.add(tag)

    def frames(self, answered: set[int]) -> list[tuple[int, bool]]:
        """Return the acknowledgements of newly answered messages: each a tag, and `multiple`.

        The tag of a `multiple` one is itself in flight: else the broker closes the channel.
        """
        rest, count, latest = set(answered), 0, 0
        tag = self._all_ended_up_to + 1
        while tag in rest or tag in self._ended:
            if tag in rest:
                rest.discard(tag)
                latest, count = tag, count + 1
            else:
                self._ended.discard(tag)
            tag += 1
        self._all_ended_up_to = tag - 1
        self._ended |= rest
        run = [(latest, count > 1)] if count else []
        return run + [(each, False) for each in sorted(rest)]
