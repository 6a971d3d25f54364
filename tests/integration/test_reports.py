"""Reports on the real server: replicas that add up, brokers that fail, callers that flood, and history."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import nats
import nats.errors
import nats.js.errors
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

import vedette_recommender.app as recommender
import vedette_recorder.app as recorder
from eventually import eventually, until_ready
from samples import lifecycle_event, model_info, report_event
from vedette import Client, log
from vedette.bus import agents
from vedette.bus.bus import Bus
from vedette.clock import SystemClock
from vedette.errors import RequestError
from vedette.local import instance
from vedette.local.instance import Connection
from vedette.messages import subjects
from vedette.messages.catalogue import Catalogue
from vedette.messages.codec import decode_event, encode
from vedette.messages.events import ModelReported
from vedette.messages.queries import ReportReply
from vedette.runtime.nats_server import NatsServer
from vedette.settings import Database, Settings
from vedette.types import ModelRef, Outcome
from vedette_recommender.reporting import Reporting
from vedette_recommender.reports import MAX_PER_ASKER
from vedette_recorder import tables

MODEL, OTHER = ModelRef("box", "smol lm/2:135m"), ModelRef("box", "other")
FOUND = [
    lifecycle_event("found", model, at=datetime(2026, 11, 25, tzinfo=UTC), info=model_info(model, digest="d"))
    for model in (MODEL, OTHER)
]
LOST_ACK = nats.errors.TimeoutError


async def replica(bus: Bus, **settings: Any) -> Reporting:
    """Return a recommender's reporting that knows both models and follows the stream, and does not run."""
    catalogue = Catalogue.of(enumerate(FOUND, start=1))
    mine = Bus(bus.connection, name="recommender", clock=SystemClock(), log=log.logger("test"))
    await mine.followings.follow("REPORTS", "report.>", catalogue.apply)
    return Reporting(bus=mine, catalogue=catalogue, use_cases=("chat",), **settings)


def tell(to: Reporting, *, model: ModelRef = MODEL, times: int = 1, **told: Any) -> list[ReportReply]:
    """Report *times* what was *told*."""
    payload = msgspec.json.encode({"model": model, "outcome": "ok", **told})
    return [msgspec.json.decode(to.answer("report.outcome", payload), type=ReportReply) for _ in range(times)]


async def stored(bus: Bus, model: ModelRef = MODEL) -> list[ModelReported]:
    """Return everything that was published of *model*, in order."""
    state = (await bus.js.stream_info("REPORTS", subjects_filter=subjects.of_report(model))).state
    count = (state.subjects or {}).get(subjects.of_report(model), 0)
    subscription = await bus.js.subscribe(subjects.of_report(model), ordered_consumer=True)
    messages = [await subscription.next_msg(timeout=60) for _ in range(count)]
    await subscription.unsubscribe()
    return [decode_event(message.subject, message.data) for message in messages]  # type: ignore[misc]


async def publish_models(bus: Bus) -> None:
    for event in FOUND:
        await bus.js.publish(event.subject, encode(event))


async def test_two_replicas_add_up_and_what_they_have_goes_out_when_they_stop(
    bus: Bus, server: NatsServer, settings: Settings
) -> None:
    """The questions are shared among them; the state after both is that of all reports, once each."""
    await publish_models(bus)
    async with Client(server.url("agent"), timeout_s=60) as client, AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(recommender.serve(settings))
        replies = await asyncio.gather(
            *(
                client.report(str(MODEL), ttft_ms=100.0, caller=f"agent {n}", use_case="chat")
                for n in range(12)
            ),
            *(client.report(MODEL, Outcome.TIMEOUT, caller=f"agent {n}") for n in range(6)),
        )
        assert all(reply.counted for reply in replies)
    events = await stored(bus)
    state = events[-1].reported
    assert len(events[-1].included) == 2
    assert sum(event.calls for event in events) == 18
    assert sum(event.use_cases.get("chat", 0) for event in events) == 12
    assert (state.calls, state.succeeded) == (pytest.approx(18, rel=0.01), pytest.approx(12, rel=0.01))
    assert state.failures == {"timeout": pytest.approx(6, rel=0.01)}
    assert state.digest == "d"
    assert events[0].ttft_ms == pytest.approx(100.0)


@pytest.mark.fault("acknowledgements of reports lost", "I12")
async def test_nothing_counts_twice_whatever_became_of_an_acknowledgement(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is stored, the replica does not learn so, another publishes on top, and the first tries again."""
    one, other = await replica(bus), await replica(bus)
    publish = one._bus.js.publish

    tell(one, times=3)
    with monkeypatch.context() as broken:

        async def stores_and_is_silent(*args: Any, **kwargs: Any) -> Any:
            await publish(*args, **kwargs)
            broken.setattr(one._bus.js, "get_last_msg", silent)
            raise LOST_ACK

        async def silent(*_: Any, **__: Any) -> Any:
            raise LOST_ACK

        broken.setattr(one._bus.js, "publish", stores_and_is_silent)
        await one.flush()
    assert len(await stored(bus)) == 1
    tell(other, times=4)
    await other.flush()
    tell(one, times=5)
    await one.flush()
    await one.flush()
    events = await stored(bus)
    assert [event.calls for event in events] == [3, 4, 5]
    assert events[-1].reported.calls == pytest.approx(12, rel=0.01)


@pytest.mark.parametrize(
    "failure",
    [LOST_ACK, nats.js.errors.ServiceUnavailableError, nats.errors.ConnectionClosedError, OSError],
)
@pytest.mark.fault("broker fails while reports are summed", "I1")
async def test_while_the_broker_fails_sums_wait(
    bus: Bus, monkeypatch: pytest.MonkeyPatch, failure: type[Exception]
) -> None:
    """Answers go on, no window is lost, what waits does not grow, and all of it goes out afterwards."""
    mine = await replica(bus)

    async def fails(*_: Any, **__: Any) -> Any:
        raise failure

    with monkeypatch.context() as broken:
        for call in ("publish", "get_last_msg"):
            broken.setattr(mine._bus.js, call, fails)
        for n in range(50):
            for model in (MODEL, OTHER):
                assert all(r.counted for r in tell(mine, model=model, times=2, caller=str(n)))
            await mine.flush()
        assert len(mine._sent) + len(mine._waiting) <= 4
    await mine.flush()
    for model in (MODEL, OTHER):
        events = await stored(bus, model)
        assert sum(event.calls for event in events) == 100
        assert len(events) <= 2
        assert events[-1].reported.calls == pytest.approx(100, rel=0.01)


async def test_one_model_whose_state_cannot_be_read_stops_no_other(bus: Bus) -> None:
    """Its reports are kept, and the others' go out."""
    await bus.js.publish(subjects.of_report(MODEL), b'{"nonsense": [')
    mine = await replica(bus)
    tell(mine)
    tell(mine, model=OTHER)
    await mine.flush()
    assert [event.calls for event in await stored(bus, OTHER)] == [1]
    assert list(mine._sent) == [MODEL]


async def test_reports_go_out_by_themselves(bus: Bus) -> None:
    """Every so often, without being told to; after the end nothing is taken."""
    mine = await replica(bus, every_s=0.05)
    task = bus.spawn(mine.run())
    tell(mine)

    async def out() -> list[ModelReported]:
        return await stored(bus)

    await eventually(out, what="published")
    task.cancel()
    tell(mine)
    await mine.close()
    assert sum(event.calls for event in await stored(bus)) == 2
    (late,) = tell(mine)
    assert not late.counted
    assert "stopping" in (late.reason or "")


@pytest.mark.fault("a caller floods with reports", "I13")
async def test_a_flood_is_answered_and_moves_little(bus: Bus, server: NatsServer, settings: Settings) -> None:
    """Two thousand reports of one caller: each is answered, a window's few count, and questions go on."""
    await publish_models(bus)
    async with Client(server.url("agent"), timeout_s=60) as client, recommender.serve(settings):
        replies, best = await asyncio.gather(
            asyncio.gather(*(client.report(MODEL, Outcome.SERVER_ERROR) for _ in range(2000))),
            client.best("chat"),
        )
        assert best.considered == 2
    counted = sum(reply.counted for reply in replies)
    events = await stored(bus)
    assert sum(event.calls for event in events) == counted <= MAX_PER_ASKER * len(events)
    assert sum(event.uncounted for event in events) == 2000 - counted
    assert all("one account" in (reply.reason or "") for reply in replies if not reply.counted)


class TestAccounts:
    """Agents with accounts that the test adds to a server of its own."""

    @pytest.fixture
    def server(self, own_server: NatsServer) -> NatsServer:
        return own_server

    @pytest.mark.fault(
        "an agent reports under invented names, and says that others ask",
        "I13",
        without=("vedette_recommender.reports:MAX_PER_ASKER", 10**9),
    )
    async def test_reports_count_by_account_and_not_by_what_the_caller_writes(
        self, bus: Bus, server: NatsServer, settings: Settings, tmp_path: Path
    ) -> None:
        """The server says which account asks. Names and headers make no second account."""
        await publish_models(bus)
        url = server.url("agent")
        running = Connection(nats_url=url, operator_url=url, database_url="", health_url="", pid=os.getpid())
        with instance.announced(tmp_path, running):
            own = (await agents.add(tmp_path, "own")).url
        assert own is not None
        async with recommender.serve(settings):
            counted = []
            for login in (url, own):
                connection = await nats.connect(login)
                replies = [
                    await connection.request(
                        "report.outcome",
                        msgspec.json.encode({"model": MODEL, "outcome": "timeout", "caller": f"made up {n}"}),
                        timeout=60,
                        headers={
                            "Nats-Request-Info": f'{{"acc":"made up {n}"}}',
                            "nats-request-info": str(n),
                        },
                    )
                    for n in range(50)
                ]
                counted.append(sum(msgspec.json.decode(r.data, type=ReportReply).counted for r in replies))
                await connection.close()
        # A window may end in between.
        assert all(MAX_PER_ASKER <= number < 50 for number in counted), counted
        assert sum(event.calls for event in await stored(bus)) == sum(counted)


async def test_what_cannot_be_so_is_an_error_with_its_field(
    bus: Bus, server: NatsServer, settings: Settings
) -> None:
    """And counts nothing."""
    await publish_models(bus)
    async with Client(server.url("agent"), timeout_s=60) as client, recommender.serve(settings):
        for told, code, field in (
            ({"model": "box/othr"}, "unknown_model", "model"),
            ({"model": "other"}, "invalid_value", "model"),
            ({"outcome": "bad"}, "invalid_value", "outcome"),
            ({"ttft_ms": 0}, "invalid_value", "ttft_ms"),
            ({"ttft_ms": 20, "e2e_ms": 10}, "invalid_value", "ttft_ms"),
            ({"e2e_ms": 86_400_001}, "invalid_value", "e2e_ms"),
            ({"output_tokens": 2**24 + 1}, "invalid_value", "output_tokens"),
            ({"prompt_tokens": 0}, "invalid_value", "prompt_tokens"),
            ({"caller": "x" * 129}, "invalid_value", "caller"),
            ({"use_case": "chatt"}, "unknown_use_case", "use_case"),
        ):
            with pytest.raises(RequestError) as caught:
                await client.report(**{"model": OTHER, **told})  # type: ignore[arg-type]
            assert (caught.value.code, caught.value.field) == (code, field), told
        with pytest.raises(RequestError, match='did you mean "box/other"'):
            await client.report("box/othr")
        with pytest.raises(RequestError, match="known: ok, loading"):
            await client.report(OTHER, "bad")
    assert await stored(bus, OTHER) == []


async def test_an_answer_says_up_to_which_report_it_reflects(
    bus: Bus, server: NatsServer, settings: Settings
) -> None:
    """Beside the sequence of MODELS, which reports do not move."""
    await publish_models(bus)
    async with recommender.serve(settings), Client(server.url("agent"), timeout_s=60) as client:
        before = (await client.best("chat")).as_of
        now = datetime.now(UTC)
        for n in range(2):
            event = msgspec.structs.replace(report_event(MODEL, at=now, digest="d"), id=str(n))
            await bus.js.publish(event.subject, encode(event))

        async def reflected() -> bool:
            as_of = (await client.best("chat")).as_of
            return (as_of.sequence, as_of.reports) == (before.sequence, 2)

        assert before.reports == 0
        await eventually(reflected, what="reflected")


@asynccontextmanager
async def database(path: Path) -> AsyncIterator[sa.ext.asyncio.AsyncConnection]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


async def test_what_was_reported_ends_in_history(
    bus: Bus, server: NatsServer, settings: Settings, tmp_path: Path
) -> None:
    """One row of the window, with the means and the state after it; the retention takes it away again."""
    await publish_models(bus)
    file = tmp_path / "vedette.db"
    chosen = msgspec.structs.replace(settings, database=Database(url=f"sqlite+aiosqlite:///{file}"))
    async with recorder.serve(chosen) as recording, Client(server.url("agent"), timeout_s=60) as client:
        await until_ready(recording)
        async with recommender.serve(settings):
            await client.report(MODEL, ttft_ms=100.0, e2e_ms=1100.0, output_tokens=41, caller="me")
            await client.report(MODEL, Outcome.RATE_LIMITED)

        async def recorded() -> list[Any]:
            async with database(file) as connection:
                return list((await connection.execute(sa.select(tables.model_reports))).mappings())

        rows = await eventually(recorded, what="recorded")
    assert [(row["endpoint"], row["model"]) for row in rows] == [(MODEL.endpoint, MODEL.name)] * len(rows)
    assert (sum(row["calls"] for row in rows), sum(row["failures"] for row in rows)) == (1, 1)
    figures = rows[0]["figures"]
    assert (figures["ttft_ms"], figures["output_tps"]) == (pytest.approx(100.0), pytest.approx(40.0))
    assert figures["reported"]["digest"] == "d"
    async with recorder.Store(f"sqlite+aiosqlite:///{file}") as store:
        deleted = await store.delete_older_than(datetime.now(UTC))
    assert deleted["model_reports"] == len(rows)
