"""SIGKILL to a recommender: what it announced is announced, and who takes its place says nothing again."""

import signal
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from commands import Up, started
from eventually import eventually
from samples import benchmark_event, lifecycle_event, model_info, probe_event
from vedette.bus.bus import Bus
from vedette.messages.events import AnswerChanged, ModelEvent
from vedette.runtime.nats_server import NatsServer
from vedette.types import Claim, Evidence, ModelRef

FIRST, SECOND = ModelRef("box", "a"), ModelRef("box", "b")


async def publish(bus: Bus, event: ModelEvent) -> None:
    """Put *event* on its subject, whatever is there."""
    await bus.publisher.advance("MODELS", event.subject, lambda _: event)


async def arrives(bus: Bus, model: ModelRef, tps: float) -> None:
    """Have *model* found, probed and benchmarked now."""
    now = datetime.now(UTC)
    chat = {"chat": Claim(value=True, evidence=Evidence.DECLARED, source="test")}
    info = model_info(model, capabilities=chat, locality="local")
    await publish(bus, lifecycle_event("found", model, at=now, info=info))
    await publish(bus, probe_event(model, at=now, job_id="p"))
    await publish(bus, benchmark_event(model, at=now, tps=tps))


async def winner(bus: Bus, model: ModelRef) -> AnswerChanged:
    """Return the announcement that *model* is best for chat, once it is the last."""

    async def ask() -> AnswerChanged | None:
        last = await bus.streams.last("ANSWERS", "answer.chat")
        event = last.event if last else None
        return event if isinstance(event, AnswerChanged) and event.model == model else None

    event = await eventually(ask, what=f"{model} announced")
    assert event is not None
    return event


@pytest.mark.fault("recommenders killed while a winner changes", "I12", trials=3)
async def test_replicas_killed_and_started_again_announce_nothing_again(
    bus: Bus, server: NatsServer, tmp_path: Path
) -> None:
    """Not while they come up, nor after; of what changed while all were dead, once."""

    async def replicas(stack: AsyncExitStack, number: int) -> list[Up]:
        command = ("run", "recommender", "--nats", server.url("operator"))
        running = [await stack.enter_async_context(started(tmp_path, *command)) for _ in range(number)]
        for replica in running:
            await replica.line("ready")
        return running

    await arrives(bus, FIRST, 40.0)
    async with AsyncExitStack() as stack:
        one, two = await replicas(stack, 2)
        first = await winner(bus, FIRST)
        await one.stop(signal.SIGKILL)
        (three,) = await replicas(stack, 1)
        await arrives(bus, SECOND, 4000.0)
        second = await winner(bus, SECOND)
        for replica in (two, three):
            await replica.stop(signal.SIGKILL)
        await publish(bus, lifecycle_event("lost", SECOND, at=datetime.now(UTC), revision=2))
        await replicas(stack, 2)
        third = await winner(bus, FIRST)
    assert [event.reason for event in (first, second, third)] == ["first", "better", "gone"]
    assert (second.before, third.before) == (FIRST, SECOND)
    state = (await bus.js.stream_info("ANSWERS", subjects_filter="answer.chat")).state
    assert state.subjects == {"answer.chat": 3}
