"""The event loop of a process of Vedette, and what libraries log in it."""

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
    except ImportError:  # not built for this system
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def quieten_libraries() -> None:
    """Keep out of the logs what libraries report without cause. An agent's process is not Vedette's to change."""
    # nats-py reports through its callbacks as well, of which we make our own words.
    logging.getLogger("nats").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").addFilter(_has_cause)


def _has_cause(record: logging.LogRecord) -> bool:
    # asyncio warns at the end of each connection that nats-py made with TLS, as of a mistake; nothing is wrong.
    return "eof_received() has no effect" not in record.getMessage()
