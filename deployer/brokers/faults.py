"""Name what a broker or the way to it refused, without the credentials in the broker's URL."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiormq import exceptions

from deployer.errors import BrokerRefused, BrokerUnreachable, QueueMissing, SchnitzelError

FAULTS: Final = (exceptions.AMQPError, OSError, RuntimeError)
"""What the client library raises."""

_REFUSED: Final = (
    exceptions.ChannelAccessRefused,
    exceptions.ChannelLockedResource,
    exceptions.ChannelPreconditionFailed,
)
_LOGIN: Final = (
    exceptions.AuthenticationError,
    exceptions.ProbableAuthenticationError,
    exceptions.ConnectionNotAllowed,
)


def of_connection(error: BaseException, broker: str, place: str) -> SchnitzelError:
    """Name a fault of a connection; `place` is the broker's host and port."""
    url = f"brokers.{broker}.url_ref in platform.yaml"
    if isinstance(error, _LOGIN):
        return BrokerRefused(
            f"The broker {broker!r} at {place} refuses the user or the virtual host.",
            f"Correct the URL that {url} names, or the user's permissions.",
        )
    return BrokerUnreachable(
        f"The broker {broker!r} at {place} does not answer: {said(error)}.",
        f"Start it, or correct the URL that {url} names.",
    )


def missing(broker: str, queue: str) -> QueueMissing:
    """Build the error of a queue that is not there."""
    return QueueMissing(
        f"The broker {broker!r} has no queue {queue!r}.", "Make it: schnitzel queue create"
    )


@contextmanager
def of_queue(broker: str, queue: str) -> Iterator[None]:
    """Name the faults of what is done with one queue; those of the connection pass.

    Raises:
        QueueMissing: It is not there.
        BrokerRefused: It is full, locked, or the user may not use it.
    """
    try:
        yield
    except (exceptions.ChannelNotFoundEntity, exceptions.PublishError) as error:
        raise missing(broker, queue) from error
    except exceptions.DeliveryError as error:
        raise BrokerRefused(
            f"The broker {broker!r} takes no messages for the queue {queue!r}: it is full.",
            "Let the models answer what waits there, or raise the queue's limit.",
        ) from error
    except _REFUSED as error:
        raise BrokerRefused(
            f"The broker {broker!r} refuses the queue {queue!r}: {said(error)}.",
            f"Correct the permissions of the user in the URL of brokers.{broker}: configure what "
            "it is to make, write and read the rest.",
        ) from error


def said(error: BaseException) -> str:
    """Return the sentence of an error, without credentials and without its full stop."""
    number = error.args[0] if error.args else None
    if isinstance(number, int):
        return os.strerror(number).lower()
    text = " ".join(str(each) for each in error.args if each is not None)
    shown = re.sub(r"amqps?://\S+", "the broker", text)[:300].rstrip(". ")
    return shown or type(error).__name__
