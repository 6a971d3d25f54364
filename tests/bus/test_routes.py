"""The routes of each service behind FastStream's in-memory broker: which handler gets which event."""

from collections.abc import Callable
from typing import Any

import pytest
from faststream.nats import NatsBroker, NatsRouter, TestNatsBroker
from prometheus_client import REGISTRY

import vedette_benchmarker.app as benchmarker
import vedette_discoverer.app as discoverer
import vedette_prober.app as prober
import vedette_recorder.app as recorder
from samples import lifecycle_event
from vedette import log
from vedette.messages.channels import DURABLES
from vedette.messages.codec import encode
from vedette.messages.events import Event, ScheduledJob, Tick
from vedette.runtime.routes import EventCodec, counted
from vedette.testing import EPOCH
from vedette.types import ModelRef

MODEL = ModelRef("gpu", "m:1b")
SERVICES = {"discoverer": discoverer, "prober": prober, "benchmarker": benchmarker, "recorder": recorder}


class Handlers:
    """A service's handlers, which write down what they got."""

    def __init__(self) -> None:
        self.got: list[tuple[str, Event]] = []

    def _handler(self, name: str) -> Callable[[Any], Any]:
        async def handle(event: Any) -> None:
            self.got.append((name, event))

        return handle

    def __getattr__(self, name: str) -> Any:
        return self._handler(name)


def tick(job: ScheduledJob) -> Tick:
    """Return a tick of *job*."""
    return Tick(id="1", at=EPOCH, job=job, slot=EPOCH)


def broker_of(service: str, router: NatsRouter) -> NatsBroker:
    """Return a broker as a service has it, with the routes of *router*."""
    broker = NatsBroker(apply_types=False, serializer=None, codec=EventCodec(), logger=None)
    broker.add_middleware(counted(service, log.logger(service)))
    broker.include_router(router)
    return broker


def handled(service: str, event: Event) -> float:
    """Return how many events like *event* were counted as handled by *service*."""
    labels = {"vedette_service": service, "event": event.TYPE, "outcome": "handled"}
    return REGISTRY.get_sample_value("vedette_events_total", labels) or 0.0


FOUND = lifecycle_event("found", MODEL, at=EPOCH)
CHANGED = lifecycle_event("changed", MODEL, at=EPOCH)
ROUTED = [
    ("discoverer", tick("discovery"), ["on_tick"]),
    ("discoverer", tick("availability"), []),
    ("discoverer", FOUND, []),
    ("prober", tick("availability"), ["on_tick"]),
    ("prober", tick("performance"), []),
    ("prober", CHANGED, ["on_changed"]),
    ("prober", FOUND, []),
    ("benchmarker", tick("performance"), ["on_tick"]),
    ("benchmarker", tick("quality"), ["on_tick"]),
    ("benchmarker", tick("retention"), []),
    ("benchmarker", FOUND, ["on_found"]),
    ("benchmarker", CHANGED, ["on_changed"]),
    ("recorder", tick("retention"), ["on_tick"]),
    ("recorder", tick("quality"), []),
]


@pytest.mark.parametrize(
    ("service", "event", "handlers"),
    ROUTED,
    ids=lambda value: value.subject if isinstance(value, Event) else "",
)
async def test_an_event_reaches_its_handler_and_no_other(
    service: str, event: Event, handlers: list[str]
) -> None:
    taken = Handlers()
    before = handled(service, event)
    router = SERVICES[service].routes(taken)  # type: ignore[attr-defined]
    streams = {durable.stream for durable in DURABLES if durable.service == service}
    async with TestNatsBroker(broker_of(service, router)) as broker:
        for stream in sorted(streams):
            await broker.publish(encode(event), event.subject, stream=stream)
    assert taken.got == [(name, event) for name in handlers]
    assert handled(service, event) - before == len(handlers)
