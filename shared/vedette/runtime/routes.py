"""Common parts of services' FastStream routes: subscription, decoding, metrics and backoff.

A service's `app.py` declares its routes on a `NatsRouter`, one `@router.subscriber(**shared_by(…))` for each durable
consumer, and `Service.include` adds them to the application.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from faststream import AckPolicy, BaseMiddleware
from faststream.nats import JStream, PullSub

from vedette import tracing
from vedette.bus import permissions
from vedette.bus.comparing import ComparedClock
from vedette.errors import Deferred
from vedette.messages.codec import decode_event, encode, kind_of
from vedette.messages.consumers import Durable
from vedette.runtime import telemetry


def shared_by(durable: Durable) -> dict[str, Any]:
    """Return the arguments of a FastStream subscriber with which the replicas share the messages of *durable*.

    One message at a time, because FastStream fetches again only after all handlers of a batch have returned.
    """
    return {
        "subject": durable.filters[0],
        "durable": durable.name,
        "stream": JStream(durable.stream, declare=False),
        "pull_sub": PullSub(batch_size=1, timeout=5.0),
        "ack_policy": AckPolicy.NACK_ON_ERROR,
        "inbox_prefix": f"{permissions.inbox(durable.service)}.".encode(),
    }


class EventCodec:
    """Decodes events for FastStream: the subject gives the kind of event, msgspec decodes it."""

    async def decode(self, msg: Any) -> Any:
        """Return the event in *msg*. Raises UndecodableMessage."""
        return decode_event(msg.raw_message.subject, msg.body)

    async def encode(self, msg: Any, serializer: Any = None) -> tuple[bytes, str | None]:
        """Return *msg* as JSON with its content type; bytes are returned unchanged."""
        return msg if isinstance(msg, bytes) else encode(msg), "application/json"


def right_clock(clock: ComparedClock) -> type[BaseMiddleware]:
    """Return a middleware that refuses messages while this process's clock is wrong."""

    class RightClock(BaseMiddleware):
        """Raises ClockWrong, so that the message is delivered again later."""

        async def consume_scope(self, call_next: Any, msg: Any) -> Any:
            await clock.require_right()
            return await call_next(msg)

    return RightClock


def traced(service: str) -> type[BaseMiddleware]:
    """Return a middleware that adds the handling of an event to the trace in its headers."""

    class Traced(BaseMiddleware):
        """Makes a span for each event."""

        async def consume_scope(self, call_next: Any, msg: Any) -> Any:
            raw = msg.raw_message
            with tracing.span(
                "process",
                raw.subject,
                service=service,
                headers=raw.headers or {},
            ):
                return await call_next(msg)

    return Traced


def counted(service: str, log: Any) -> type[BaseMiddleware]:
    """Return a middleware that counts and logs the events of *service*, with the outcome."""

    class Counted(BaseMiddleware):
        """Counts in `vedette_events_total`, and writes one line for each event."""

        async def consume_scope(self, call_next: Any, msg: Any) -> Any:
            def ended(outcome: str) -> None:
                subject = msg.raw_message.subject
                telemetry.EVENTS.labels(service, kind_of(subject), outcome).inc()
                log.info("event.handled", subject=subject, outcome=outcome)

            with reporting_end(ended, done="handled"):
                return await call_next(msg)

    return Counted


@contextmanager
def reporting_end(report: Callable[[str], None], *, done: str) -> Iterator[None]:
    """Call *report* with the outcome of handling a message: *done*, or `deferred`, `stopped` or `failed`."""
    outcome = "failed"
    try:
        yield
        outcome = done
    except Deferred:
        outcome = "deferred"
        raise
    except asyncio.CancelledError:
        outcome = "stopped"
        raise
    finally:
        report(outcome)
