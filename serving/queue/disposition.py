"""Decide what becomes of a message after a try. Pure."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from serving.inference import Overload, Poisoned, ServerFault

if TYPE_CHECKING:
    from serving.protocols.answer import Answer


class Next(Enum):
    """What to do with the message."""

    PUBLISH = "publish the results, then acknowledge it"
    AGAIN = "ask the model again; the try counts"
    LATER = "ask the model later; the message is not the reason, and the try does not count"
    DEAD = "publish it to the dead-letter queue, then acknowledge it"


class Disposition(NamedTuple):
    """What to do, and for a dead message the reason: a header of it, and a label of the metric."""

    next: Next
    reason: str = ""


BAD_INPUT = "BadInput"
TOO_LARGE = "TooLarge"
MODEL_RAISED = "ModelRaised"
TIMED_OUT = "TimedOut"
WORKER_KILLED = "WorkerKilled"
SERVER_KILLED = "ServerKilled"
SERVER_FAULT = "ServerFault"


def of(answer: Answer, tries: int, attempts: int) -> Disposition:
    """Decide by the answer of the last of `tries` tries, of which a message has `attempts`."""
    if answer.status < 400:
        return Disposition(Next.PUBLISH)
    if isinstance(answer, Poisoned):  # the worker asked it twice, the second time alone
        return Disposition(Next.DEAD, WORKER_KILLED)
    if isinstance(answer, Overload) or answer.status == 503:
        return Disposition(Next.LATER)
    if answer.status == 413:
        return Disposition(Next.DEAD, TOO_LARGE)
    if answer.status < 500:
        return Disposition(Next.DEAD, BAD_INPUT)
    if tries < attempts:
        return Disposition(Next.AGAIN)
    return Disposition(Next.DEAD, _fault(answer))


def _fault(answer: Answer) -> str:
    if isinstance(answer, ServerFault):
        return SERVER_FAULT
    return TIMED_OUT if answer.status == 504 else MODEL_RAISED
