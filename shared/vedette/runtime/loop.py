"""The event loop of Vedette's processes, and which messages of libraries they log."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* on the fastest available event loop; return its result."""
    quieten_libraries()
    try:
        import uvloop
    except ImportError:  # not available for this system
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def quieten_libraries() -> None:
    """Drop log messages of libraries that report no real problem. Only for Vedette's processes, not for agents."""
    # nats-py also calls our callbacks with its errors, which log them.
    logging.getLogger("nats").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").addFilter(_has_cause)


def _has_cause(record: logging.LogRecord) -> bool:
    # asyncio warns at the end of each TLS connection of nats-py, although nothing is wrong.
    return "eof_received() has no effect" not in record.getMessage()
