"""Vedette's own questions never meet on one host: probes and measurements, over a server that takes its time."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from nats.aio.client import Client as NatsClient

from eventually import eventually
from providers.replay import Exchange, Handler, Write, replaying, reply, stream
from vedette.bus.bus import Bus
from vedette.bus.connection import connect
from vedette.bus.provisioning import ensure_durable
from vedette.endpoints import gate
from vedette.messages import ids
from vedette.messages.consumers import host_jobs
from vedette.messages.events import Job, JobKind
from vedette.runtime.nats_server import NatsServer
from vedette.settings import Benchmarking, Console, EndpointSettings, Nats, Schedule, Settings
from whole import whole

NOW = datetime.now(UTC)
LISTING = {"data": [{"id": "m", "object": "model", "owned_by": "vllm", "max_model_len": 4096}]}
WORDS = [f'data: {{"choices": [{{"delta": {{"content": "word{n} "}}}}]}}\n' for n in range(30)]
END = 'data: {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"completion_tokens": 30}}\n'


class Asked(Struct):
    """The questions that a server got, in order: whether each was a probe's."""

    probes: list[bool] = []

    def slowly(self) -> Handler:
        """Return a handler that notes each question and answers it in half a second."""
        answer = stream(*WORDS, END, "data: [DONE]\n", pace_s=0.015)

        async def handle(exchange: Exchange, write: Write) -> None:
            self.probes.append("Reply with one word: ready" in str(exchange.body))
            await answer(exchange, write)

        return handle


async def none_closed(*_: Any) -> None:
    """Be a gate that stands open."""


@pytest.mark.lane("faults")
@pytest.mark.fault(
    "a probe asks a model while its host is being measured",
    "I10",
    without=("vedette.endpoints.gate:closed", none_closed),
)
async def test_a_probe_never_lands_in_a_measurement(server: NatsServer, tmp_path: Path) -> None:
    """Probes come every second: before and after it, never within; what they left out is no failure."""
    asked = Asked()
    async with replaying() as replay:
        replay.routes["GET", "/v1/models"] = reply(200, LISTING)
        replay.routes["POST", "/v1/chat/completions"] = asked.slowly()
        settings = Settings(
            console=Console(enabled=False),
            endpoints={
                "box": EndpointSettings(
                    provider="openai-compatible",
                    url=replay.url,
                    evaluate=False,
                    verify_capabilities=False,
                )
            },
            schedule=Schedule(availability="1s"),
            benchmarking=Benchmarking(runs=4, output_tokens=30),
        )
        async with whole(settings, server, tmp_path) as (_, client):
            await eventually(
                lambda: _probed_after(asked), within_s=120, what="a measurement, and probes after"
            )
            (view,) = (await client.models()).models
    begun, ended = asked.probes.index(False), len(asked.probes) - asked.probes[::-1].index(False)
    assert not any(asked.probes[begun:ended])
    assert ended - begun == 9  # a warm-up, and four runs of each length
    assert view.availability is not None
    assert view.availability.uptime_24h == 1.0


async def _probed_after(asked: Asked) -> bool:
    return False in asked.probes and asked.probes[-2:] == [True, True]


@pytest.mark.fault(
    "an endpoint with many models shares its host with one that has just come",
    "I5",
    without=("vedette.bus.jobs:Jobs.rearrange", none_closed),
)
async def test_a_new_endpoint_has_its_turn_before_all_models_of_another(
    server: NatsServer, tmp_path: Path
) -> None:
    """Its first benchmark is the next after the one that runs, or after one more while its models are found."""
    asked, begun, goes_on = list[str](), asyncio.Event(), asyncio.Event()
    answer = stream(*WORDS, END, "data: [DONE]\n", pace_s=0.015)
    many = [{**LISTING["data"][0], "id": f"m{number}"} for number in range(8)]

    async def measured(exchange: Exchange, write: Write) -> None:
        if "Reply with one word: ready" not in str(exchange.body):
            asked.append(str(exchange.model))
            begun.set()
            await goes_on.wait()
        await answer(exchange, write)

    async def late(exchange: Exchange, write: Write) -> None:
        await (reply(200, LISTING) if begun.is_set() else reply(503, {}))(exchange, write)

    async with replaying() as big, replaying() as small:
        big.routes["GET", "/v1/models"] = reply(200, {"data": many})
        small.routes["GET", "/v1/models"] = late
        for box in (big, small):
            box.routes["POST", "/v1/chat/completions"] = measured
        endpoints = {
            name: EndpointSettings(
                provider="openai-compatible",
                url=box.url,
                host_group="rack",
                evaluate=False,
                verify_capabilities=False,
            )
            for name, box in (("big", big), ("small", small))
        }
        settings = Settings(
            console=Console(enabled=False),
            endpoints=endpoints,
            schedule=Schedule(discovery="1s"),
            benchmarking=Benchmarking(runs=1, output_tokens=30),
        )

        async def small_is_queued(connection: NatsClient) -> bool:
            queued = "job.benchmark.rack.small.>"
            info = await connection.jetstream(timeout=60).stream_info("JOBS", subjects_filter=queued)
            return bool(info.state.subjects)

        async def small_is_measured() -> bool:
            return "m" in asked

        async with whole(settings, server, tmp_path) as (up, _):
            async with connect(Nats(url=up.connection.operator_url), name="test") as connection:
                await eventually(lambda: small_is_queued(connection), what="a job at the small endpoint")
            goes_on.set()
            await eventually(small_is_measured, what="a benchmark at the small endpoint")
    assert len(set(asked) - {"m"}) <= 4  # of eight


def _job(kind: JobKind, endpoint: str) -> Job:
    return Job(
        id=ids.derive(NOW, kind, endpoint),
        at=NOW,
        kind=kind,
        group="rack",
        endpoint=endpoint,
        cause="tick",
    )


@pytest.mark.fault(
    "a measurement begins while a probe's answer is under way",
    "I10",
    without=("vedette.endpoints.gate:until_free", none_closed),
)
async def test_a_measurement_waits_for_the_probes_that_have_begun(bus: Bus) -> None:
    """Not for those that come after it: they see it, and ask for no answer."""
    await bus.publisher.enqueue(_job("probe", "box"))
    waiting = asyncio.create_task(gate.until_free(bus, "rack", within_s=600))
    assert await asyncio.wait({waiting}, timeout=0.5) == (set(), {waiting})
    await bus.publisher.enqueue(_job("probe", "other"))
    stored = await bus.streams.first_from("JOBS", 1, "job.probe.rack.>")
    assert stored is not None
    await bus.streams.remove("JOBS", stored.sequence)
    await asyncio.wait_for(waiting, 60)
    # A prober that is gone holds nothing up for longer than an answer takes.
    await asyncio.wait_for(gate.until_free(bus, "rack", within_s=0.2), 60)


async def test_a_host_is_closed_while_a_measurement_is_in_hand(bus: Bus) -> None:
    """From when its job is delivered until it is done, and to no other host."""
    assert await gate.closed(bus, "rack") is None
    await ensure_durable(bus.connection, host_jobs("rack"))
    assert await gate.closed(bus, "rack") is None
    begun, ended = asyncio.Event(), asyncio.Event()

    async def measure(_: Job) -> None:
        begun.set()
        await ended.wait()

    await bus.publisher.enqueue(_job("benchmark", "box"))
    working = asyncio.create_task(bus.jobs.work(host_jobs("rack"), measure, concurrency=1, timeout_s=60))
    await asyncio.wait_for(begun.wait(), 60)
    assert await gate.closed(bus, "rack") == "the host is being measured"
    assert await gate.closed(bus, "other") is None
    ended.set()

    async def open_again() -> bool:
        return await gate.closed(bus, "rack") is None

    await eventually(open_again, what="the gate open")
    working.cancel()
