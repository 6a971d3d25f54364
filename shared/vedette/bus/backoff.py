"""Decides what happens to a message whose handling failed: a retry after a delay, or a dead letter."""

from typing import Any, Protocol

from faststream import BaseMiddleware
from faststream.exceptions import NackMessage, RejectMessage
from nats.aio.msg import Msg

from vedette.errors import Deferred, MessageTooLarge, UndecodableMessage

MAX_DELIVERIES = 8


class Burial(Protocol):
    """Stores dead letters."""

    log: Any

    async def bury(self, message: Msg, *, reason: str) -> None:
        """Store *message* in the stream DEAD with the *reason*."""


def redelivery_delay_s(deliveries: int) -> float:
    """Return the delay before the next delivery (s): 1 s, doubled with each delivery, at most 60 s."""
    return float(min(60, 2 ** max(0, deliveries - 1)))


class Backoff:
    """Decides what happens to a message whose handling failed: a retry after a delay, or the stream DEAD."""

    def __init__(self, burial: Burial) -> None:
        self._burial = burial

    async def settle(self, message: Msg, error: Exception) -> float | None:
        """Log and count the failure; return the delay before the retry (s), or None if the message is a dead letter."""
        deliveries = message.metadata.num_delivered if message.reply else 1
        permanent = isinstance(error, UndecodableMessage | MessageTooLarge) or deliveries >= MAX_DELIVERIES
        self._burial.log.error(
            "message.failed",
            subject=message.subject,
            deliveries=deliveries,
            permanent=permanent,
            error=f"{type(error).__name__}: {error}",
            exc_info=error if not isinstance(error, UndecodableMessage) else None,
        )
        if not permanent:
            return redelivery_delay_s(deliveries)
        await self._burial.bury(message, reason=f"{type(error).__name__}: {error}")
        return None

    def middleware(self) -> type[BaseMiddleware]:
        """Return this backoff as a FastStream middleware."""
        backoff = self

        class BackoffMiddleware(BaseMiddleware):
            """Turns an exception of a handler into a delayed redelivery or a dead letter."""

            async def consume_scope(self, call_next: Any, msg: Any) -> Any:
                try:
                    return await call_next(msg)
                except Deferred as error:
                    raise NackMessage(delay=error.wait_s) from error
                except Exception as error:
                    delay = await backoff.settle(msg.raw_message, error)
                    if delay is None:
                        raise RejectMessage from error
                    raise NackMessage(delay=delay) from error

        return BackoffMiddleware
