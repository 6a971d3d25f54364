"""Events of many models, and a publisher that knows of each whether the broker has acknowledged it."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from random import Random

import nats.errors
import sqlalchemy as sa
from nats.aio.client import Client as NatsClient
from nats.js.client import JetStreamContext

from recorded import all_recorded
from samples import benchmark_event, lifecycle_event, probe_event
from vedette.messages import ids
from vedette.messages.codec import encode
from vedette.messages.events import (
    EndpointObserved,
    Event,
    ModelBenchmarked,
    ModelChanged,
    ModelFound,
    ModelProbed,
)
from vedette.types import EndpointState, ModelRef, Outcome
from vedette_recorder import tables

STREAMS = ("MODELS", "ENDPOINTS")
# Where the history of each kind of event is kept.
TABLES: dict[type[Event], sa.Table] = {
    ModelFound: tables.model_info_history,
    ModelChanged: tables.model_info_history,
    ModelProbed: tables.model_availability_history,
    ModelBenchmarked: tables.model_performance_history,
    EndpointObserved: tables.endpoint_history,
}
_BEGIN = datetime(2026, 11, 25, tzinfo=UTC)
_KINDS, _WEIGHTS = ("probed", "benchmarked", "listed", "observed"), (70, 15, 5, 10)
# No subject comes near the number of messages that its stream keeps: what the stream drops, nobody records.
_EVENTS_PER_MODEL = 50
_MODELS_PER_ENDPOINT = 20
_IN_FLIGHT = 64
_ACKNOWLEDGED_WITHIN_S = 2.0
_AGAIN_AFTER_S = 0.1


def events(number: int, *, seed: int) -> Iterator[Event]:
    """Yield *number* events of many models, a millisecond apart, in an order that follows from *seed*."""
    rng = Random(seed)
    models = max(1, number // _EVENTS_PER_MODEL)
    revisions = dict.fromkeys(range(models), 0)
    for n in range(number):
        at, chosen = _BEGIN + timedelta(milliseconds=n), rng.randrange(models)
        model = ModelRef(f"host-{chosen // _MODELS_PER_ENDPOINT}", f"model:{chosen}")
        kind = rng.choices(_KINDS, _WEIGHTS)[0]
        if kind == "probed":
            yield probe_event(model, at=at, job_id=f"probe {n}")
        elif kind == "benchmarked":
            yield benchmark_event(model, at=at, tps=rng.uniform(1, 200))
        elif kind == "observed":
            yield _observed(model.endpoint, at)
        else:
            revisions[chosen] += 1
            kind = "found" if revisions[chosen] == 1 else "changed"
            yield lifecycle_event(kind, model, at=at, revision=revisions[chosen])


def _observed(endpoint: str, at: datetime) -> EndpointObserved:
    state = EndpointState(
        url="http://h:1", provider="ollama", fingerprint="f", checked_at=at, outcome=Outcome.OK
    )
    return EndpointObserved(id=ids.derive(at, endpoint), at=at, endpoint=endpoint, state=state)


async def recorded(js: JetStreamContext) -> bool:
    """Return whether recorders have acknowledged everything that there is."""
    return await all_recorded(js, *STREAMS)


class Publisher:
    """Publishes each event until it is acknowledged, again under the same id when nothing is heard of it.

    `acknowledged` holds the table in which each event belongs, by id; `newest` the last payload of each subject,
    by the place that the broker gave it.
    """

    def __init__(self, connection: NatsClient) -> None:
        self._js = connection.jetstream(timeout=60)
        self.acknowledged: dict[str, str] = {}
        self.newest: dict[str, tuple[int, bytes]] = {}
        self.again = 0

    async def publish(self, some: Iterable[Event]) -> None:
        """Return when all of *some* are acknowledged."""
        left = iter(some)

        async def work() -> None:
            for event in left:
                await self._until_acknowledged(event)

        async with asyncio.TaskGroup() as group:
            for _ in range(_IN_FLIGHT):
                group.create_task(work())

    async def _until_acknowledged(self, event: Event) -> None:
        payload = encode(event)
        while (sequence := await self._try(event, payload)) is None:
            self.again += 1
            await asyncio.sleep(_AGAIN_AFTER_S)
        self.acknowledged[event.id] = TABLES[type(event)].name
        self.newest[event.subject] = max(self.newest.get(event.subject, (0, b"")), (sequence, payload))

    async def _try(self, event: Event, payload: bytes) -> int | None:
        """Publish once; return the place in the stream, or None when no acknowledgement came."""
        headers = {"Nats-Msg-Id": event.id}
        try:
            ack = await self._js.publish(
                event.subject, payload, timeout=_ACKNOWLEDGED_WITHIN_S, headers=headers
            )
        except nats.errors.Error:
            return None
        return ack.seq
