"""Publish messages so that none is lost: persistent, mandatory, and confirmed by the broker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiormq import exceptions

from serving.queue.broker import RESULT_REFUSED, Trouble, trouble_of

if TYPE_CHECKING:
    from aiormq import Channel

    from serving.queue.contract import Message


class Unroutable(Trouble):
    """No queue is bound for the routing key."""


class Publisher:
    """A channel in confirm mode, on a connection that publishes only.

    The client library finds a returned message by its message id. Two messages of one id, which
    doubles of an input have, are therefore never in flight together.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._sending: dict[str, asyncio.Future[None]] = {}

    async def publish(self, message: Message) -> None:
        """Publish a message, and return once the broker has it.

        Raises:
            Unroutable: no queue takes it.
            Trouble: the exchange is missing, the queue is full, or the connection broke.
        """
        name = message.properties.message_id or ""
        while (other := self._sending.get(name)) is not None:
            await asyncio.wait((other,))
        sending = self._sending[name] = asyncio.get_running_loop().create_future()
        try:
            await self._channel.basic_publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                properties=message.properties,
                mandatory=True,
                wait=False,
            )
        except exceptions.PublishError as error:
            said = f"no queue takes results for {_where(message)}"
            raise Unroutable(RESULT_REFUSED, said) from error
        except exceptions.DeliveryError as error:
            said = f"the broker does not take results for {_where(message)}: is the queue full?"
            raise Trouble(RESULT_REFUSED, said) from error
        except exceptions.ChannelNotFoundEntity as error:
            raise Trouble(RESULT_REFUSED, f"there is no {_where(message)}") from error
        except (exceptions.AMQPError, OSError, RuntimeError) as error:
            raise trouble_of(error, _where(message)) from error
        finally:
            del self._sending[name]
            sending.set_result(None)


def _where(message: Message) -> str:
    if message.exchange:
        return f"exchange '{message.exchange}' with routing key '{message.routing_key}'"
    return f"queue '{message.routing_key}'"
