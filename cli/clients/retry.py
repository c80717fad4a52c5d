"""Repeat requests while a service that has answered before is away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from cli.clients.http import Refused
from cli.errors import LoginRefused, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_SECONDS = 1.0
AWAY_SECONDS = 120.0

Question = ParamSpec("Question")
Answer = TypeVar("Answer")


def with_retries(
    ask: Callable[Question, Answer],
    report: Callable[[str], None],
    seconds: float = AWAY_SECONDS,
    *,
    answered: bool = False,
) -> Callable[Question, Answer]:
    """Wrap a request so that it is repeated while a service that answered before does not.

    The awaited work goes on at the service, so a restart or a busy minute of the service must not
    end the wait; an answer of 500 or more counts as such a minute. A service that never answered,
    or refuses the login, is an error at once.

    Args:
        ask: sends the request.
        report: gets a warning when the service goes away, and a line when it is back.
        seconds: how long the service may be away; after that the last error is raised.
        answered: whether the service has answered before.
    """

    def asked(*args: Question.args, **kwargs: Question.kwargs) -> Answer:
        nonlocal answered
        gone: float | None = None
        while True:
            try:
                answer = ask(*args, **kwargs)
            except LoginRefused:
                raise
            except (Unreachable, Refused) as error:
                if isinstance(error, Refused) and error.status < 500:
                    raise
                now = time.monotonic()
                if not answered or (gone is not None and now - gone > seconds):
                    raise
                if gone is None:
                    gone = now
                    report(f"warning: {error}; waiting")
                time.sleep(POLL_SECONDS)
            else:
                answered = True
                if gone is not None:
                    report("it answers again")
                return answer

    return asked
