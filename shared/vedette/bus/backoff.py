"""A message whose handling failed is retried after a delay, or becomes a dead letter."""

from typing import Any, Protocol

from faststream import BaseMiddleware
from faststream.exceptions import NackMessage, RejectMessage
from nats.aio.msg import Msg

from vedette.errors import Deferred, MessageTooLarge, UndecodableMessage

MAX_DELIVERIES = 8


class Burial(Protocol):
    """Where dead letters go."""

    log: Any

    async def bury(self, message: Msg, *, reason: str) -> None:
        """Put *message* into DEAD with the *reason*."""


def redelivery_delay_s(deliveries: int) -> float:
    """Return how long to wait before the next delivery: 1 s, doubling, at most a minute."""
    return float(min(60, 2 ** max(0, deliveries - 1)))


class Backoff:
    """Decides about a message whose handling failed: it is retried after a delay, or goes to `DEAD`."""

    def __init__(self, burial: Burial) -> None:
        self._burial = burial

    async def settle(self, message: Msg, error: Exception) -> float | None:
        """Log and count the failure; return the delay in seconds, or None when the message is dead."""
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
        """Return this policy as a FastStream middleware."""
        backoff = self

        class BackoffMiddleware(BaseMiddleware):
            """Turn a handler's exception into a delayed redelivery or a dead letter."""

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
