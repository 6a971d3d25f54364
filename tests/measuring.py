"""What queues and does the measurements of one replica, with these measures."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from vedette.bus.bus import Bus
from vedette.endpoints import Endpoints
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import JobKind
from vedette_benchmarker.measuring import Measuring
from vedette_benchmarker.permission import Permission
from vedette_benchmarker.queueing import Queueing
from vedette_benchmarker.racing import Questions
from vedette_benchmarker.work import Measure


async def _no_questions() -> Sequence[Questions]:
    return ()


def measuring(
    bus: Bus,
    *,
    catalogue: Catalogue,
    endpoints: Endpoints,
    measures: Mapping[JobKind, Measure],
    questions: Callable[[], Awaitable[Sequence[Questions]]] = _no_questions,
    **named: Any,
) -> tuple[Queueing, Measuring]:
    """Return both, as the benchmarker wires them."""
    permission = Permission(catalogue=catalogue, endpoints=endpoints, clock=bus.clock)
    queueing = Queueing(
        bus=bus,
        catalogue=catalogue,
        endpoints=endpoints,
        clock=bus.clock,
        measures=measures,
        permission=permission,
        questions=questions,
        **named,
    )
    does = Measuring(
        bus=bus,
        catalogue=catalogue,
        clock=bus.clock,
        measures=measures,
        permission=permission,
        queueing=queueing,
        probe_timeout_s=30.0,
    )
    return queueing, does
