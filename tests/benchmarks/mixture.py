"""What a stream holds that was written for weeks: mostly probes, some benchmarks and observations, a few finds."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from random import Random

import msgspec
from nats.aio.client import Client as NatsClient

from benchmarks import population
from benchmarks.running import say
from vedette.messages import ids
from vedette.messages.codec import encode
from vedette.messages.events import EndpointObserved, Event, ModelBenchmarked, ModelFound, ModelProbed
from vedette.settings import Nats, Settings
from vedette.types import EndpointState, Listed, Outcome, RunSample

# No subject may come to its limit of messages, or some would be gone before they are read.
_EVENTS_PER_MODEL = 100
_MIN_MODELS = 100
_OUTSTANDING = 4000
_KINDS, _WEIGHTS = ("probed", "benchmarked", "observed"), (90, 6, 4)
_NOW = datetime.now(UTC).replace(microsecond=0)
_RUNS = 6


def models_of(number: int) -> int:
    """Return over how many models *number* events are."""
    return max(_MIN_MODELS, number // _EVENTS_PER_MODEL)


def settings(number: int) -> Settings:
    """Return settings whose streams have room for *number* events."""
    return Settings(nats=Nats(expected_models=models_of(number)))


def events(number: int, *, first: int, until: int) -> Iterator[Event]:
    """Yield those from *first* until before *until* of *number*: each model is found, then measured in turns."""
    models = models_of(number)
    for n in range(first, until):
        yield _found(n) if n < models else _measured(n, models)


def benchmark() -> ModelBenchmarked:
    """Return a benchmark such as the stream holds."""
    return _templates(0)[2]


def _found(n: int) -> ModelFound:
    return _templates(n)[0]


def _measured(n: int, models: int) -> Event:
    at = _NOW - timedelta(hours=12) + timedelta(milliseconds=40 * n)
    kind = Random(n).choices(_KINDS, _WEIGHTS)[0]
    _, probed, benchmarked, observed = _templates(n % models)
    event = {"probed": probed, "benchmarked": benchmarked, "observed": observed}[kind]
    return msgspec.structs.replace(event, id=ids.derive(at, kind, str(n)), at=at)


@lru_cache(maxsize=20_000)
def _templates(model: int) -> tuple[ModelFound, ModelProbed, ModelBenchmarked, EndpointObserved]:
    found, probed, benchmarked, _ = population.events_of(model, _NOW)
    ran = tuple(
        RunSample(
            job_id=benchmarked.job_id,
            at=_NOW,
            prompt="short",
            cold=n == 0,
            prompt_tokens=64,
            output_tokens=128,
            ttft_ms=120.5 + n,
            itl_p50_ms=11.25,
            itl_p95_ms=14.5,
            e2e_ms=1612.75,
            output_tps=88.9,
            digest=found.info.digest,
            server_version="0.32.15",
        )
        for n in range(3 * _RUNS)
    )
    performance = msgspec.structs.replace(benchmarked.performance, samples=ran)
    state = EndpointState(
        url=found.info.url,
        provider=found.info.provider,
        fingerprint="f" * 16,
        checked_at=_NOW,
        outcome=Outcome.OK,
        latency_ms=12.5,
        server_version="0.32.15",
        listing=tuple(Listed(name=f"model-{n}:8b", digest=f"{n:064x}") for n in range(40)),
    )
    return (
        found,
        probed,
        msgspec.structs.replace(benchmarked, performance=performance, samples=ran[:_RUNS]),
        EndpointObserved(id=found.id, at=_NOW, endpoint=found.model.endpoint, state=state),
    )


async def fill(connection: NatsClient, number: int, *, first: int, until: int) -> None:
    """Publish those from *first* until before *until* of *number* events; return when all are stored."""
    js = connection.jetstream(publish_async_max_pending=_OUTSTANDING)
    acknowledgements: list[asyncio.Future[object]] = []
    for count, event in enumerate(events(number, first=first, until=until), first + 1):
        acknowledgements.append(await js.publish_async(event.subject, encode(event)))  # type: ignore[arg-type]
        if count % 20_000 == 0 or count == until:
            await asyncio.gather(*acknowledgements)
            acknowledgements.clear()
            say(f"{count} of {number} events published")
