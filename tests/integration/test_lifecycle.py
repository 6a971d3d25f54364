"""All services together on a real nats-server, over endpoints whose models come and go."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from pathlib import Path

import msgspec
import nats
import pytest

from eventually import eventually
from providers.fake_ollama import FakeOllama, fake_ollama
from providers.replay import Exchange, hang, replaying, reply
from redelivery import shorten_ack_wait
from vedette import Client
from vedette.bus.connection import barrier, connect
from vedette.client.jobs import Target, operating
from vedette.messages.codec import decode_event
from vedette.messages.events import ModelChanged, ModelFound, ModelLost
from vedette.messages.queries import EndpointView, ModelView
from vedette.providers import Listing
from vedette.runtime import process
from vedette.runtime.nats_server import NatsServer
from vedette.runtime.process import Running
from vedette.settings import (
    Benchmarking,
    Budget,
    Console,
    EndpointSettings,
    Nats,
    Probing,
    Schedule,
    Settings,
)
from vedette.types import EndpointState, Evidence, Intake, ModelRef, Outcome
from whole import whole

ODD_NAMES = ("library/a:b.c*d>e f", "🦙", "n" * 300, "=2E")

Run = Callable[[Settings], AbstractAsyncContextManager[tuple[Running, Client]]]


def settings(
    availability: str = "1s", discovery: str = "1h", timeout_s: float = 60.0, **urls: str
) -> Settings:
    """Return settings for Ollama endpoints by name, probed often."""
    return Settings(
        endpoints={
            name: EndpointSettings(url=url, host_group=name, timeout_s=timeout_s, evaluate=False)
            for name, url in urls.items()
        },
        schedule=Schedule(availability=availability, discovery=discovery),
        benchmarking=Benchmarking(runs=1, output_tokens=16),
        console=Console(enabled=False),
    )


@pytest.fixture
def running(server: NatsServer, tmp_path: Path) -> Run:
    """Give what runs everything on settings, and a client of it."""
    return lambda chosen: whole(chosen, server, tmp_path)


def _admit_all(
    before: EndpointState | None, listing: Sequence[Listing], *, now: datetime, **_: object
) -> tuple[list[Listing], Intake]:
    """Be an admission that refuses nothing."""
    return list(listing), Intake(since=now)


@asynccontextmanager
async def apart(chosen: Settings, directory: Path) -> AsyncIterator[tuple[Running, Client]]:
    """Run everything as `vedette up` does, with a nats-server that starts and stops with it; and a client of it."""
    async with process.up(chosen, directory) as up, Client(up.connection.nats_url, timeout_s=60) as client:
        yield up, client


async def listed(client: Client, count: int) -> list[ModelRef]:
    """Return the models once there are *count* of them."""

    async def ask() -> list[ModelRef]:
        models = [view.model for view in (await client.models()).models]
        return models if len(models) == count else []

    return await eventually(ask, what=f"{count} models")


async def test_a_model_that_appears_is_found_probed_measured_and_recommended(running: Run) -> None:
    """With no command at all, by the next availability tick; the discovery tick is an hour away."""
    async with fake_ollama() as ollama, running(settings(box=ollama.url)) as (up, client):
        subscriber = await nats.connect(up.connection.nats_url)
        events = await subscriber.subscribe("model.found")
        await barrier(subscriber)
        assert (await client.best("chat")).recommendation is None

        ollama.models["fresh:1b"] = "d1"
        found = await events.next_msg(timeout=120)
        event = decode_event(found.subject, found.data)
        assert isinstance(event, ModelFound)
        assert event.model == ModelRef("box", "fresh:1b")

        async def recommended() -> bool:
            best = (await client.best("chat")).recommendation
            return best is not None and best.output_tps is not None and best.status == "available"

        await eventually(recommended, what="recommended with a measured speed")
        await subscriber.close()


@pytest.mark.fault("a model is not listed once", "I9")
async def test_a_model_that_goes_is_lost_after_two_listings_and_found_again(running: Run) -> None:
    """One listing without it proves nothing; two do; and it may come back."""
    async with (
        fake_ollama(stays="d1", goes="d2") as ollama,
        running(settings(discovery="1s", box=ollama.url)) as (up, client),
    ):
        await listed(client, 2)
        subscriber = await nats.connect(up.connection.nats_url)
        lost = await subscriber.subscribe("model.lost")
        found = await subscriber.subscribe("model.found")
        await barrier(subscriber)
        before = ollama.tags_asked
        del ollama.models["goes"]
        message = await lost.next_msg(timeout=120)
        event = decode_event(message.subject, message.data)
        assert isinstance(event, ModelLost)
        assert (event.model.name, event.reason, event.revision) == ("goes", "absent", 2)
        assert ollama.tags_asked - before >= 2
        assert await listed(client, 1) == [ModelRef("box", "stays")]

        ollama.models["goes"] = "d2"
        message = await found.next_msg(timeout=120)
        again = decode_event(message.subject, message.data)
        assert isinstance(again, ModelFound)
        assert (again.again, again.revision) == (True, 3)
        await subscriber.close()


async def test_new_weights_are_a_change_and_are_measured_anew(running: Run) -> None:
    """The digest differs: `changed` says so, field by field, and the old speed no longer counts."""
    async with fake_ollama(m="d1") as ollama, running(settings(box=ollama.url)) as (up, client):
        await eventually(lambda: _measured(client), what="measured")
        subscriber = await nats.connect(up.connection.nats_url)
        changed = await subscriber.subscribe("model.changed")
        await barrier(subscriber)
        ollama.models["m"] = "d2"
        message = await changed.next_msg(timeout=120)
        event = decode_event(message.subject, message.data)
        assert isinstance(event, ModelChanged)
        assert event.digest_changed
        assert [(c.field, c.old, c.new) for c in event.changes] == [("digest", "d1", "d2")]

        async def measured_again() -> bool:
            (view,) = (await client.models()).models
            return view.info.digest == "d2" and view.performance is not None

        await eventually(measured_again, what="the new weights measured")
        await subscriber.close()


async def _measured(client: Client) -> bool:
    models = (await client.models()).models
    return bool(models) and all(view.performance is not None for view in models)


async def test_an_endpoint_that_leaves_the_configuration_loses_its_models(running: Run) -> None:
    """At the next start, and with that as the reason."""
    async with fake_ollama(a="d1") as one, fake_ollama(b="d2") as two:
        async with running(settings(one=one.url, two=two.url)) as (_, client):
            await listed(client, 2)
        async with running(settings(two=two.url)) as (_, client):
            assert await listed(client, 1) == [ModelRef("two", "b")]
            assert [view.endpoint for view in (await client.endpoints()).endpoints] == ["two"]


async def test_the_same_model_at_two_endpoints_is_two_models(running: Run) -> None:
    """Each with its own measurements; a recommendation says where to call."""
    async with (
        fake_ollama(m="d1") as one,
        fake_ollama(m="d1") as two,
        running(settings(one=one.url, two=two.url)) as (_, client),
    ):
        assert await listed(client, 2) == [ModelRef("one", "m"), ModelRef("two", "m")]
        await eventually(lambda: _measured(client), what="both measured")
        best = await client.best("chat")
        assert best.recommendation is not None
        assert {best.recommendation.url, best.fallbacks[0].url} == {one.url, two.url}


async def test_names_of_any_kind_go_all_the_way(running: Run) -> None:
    """Slashes, dots, wildcards, spaces, emoji, 300 characters: found, measured, asked for by name."""
    async with (
        fake_ollama(**{name: f"d{n}" for n, name in enumerate(ODD_NAMES)}) as ollama,
        running(settings(box=ollama.url)) as (_, client),
    ):
        assert {model.name for model in await listed(client, len(ODD_NAMES))} == set(ODD_NAMES)
        await eventually(lambda: _measured(client), what="all measured")
        for name in ODD_NAMES:
            (view,) = (await client.model(ModelRef("box", name))).models
            assert view.model.name == name


@pytest.mark.fault("an endpoint hangs", "I13")
async def test_a_dead_endpoint_stops_no_other(running: Run) -> None:
    """One hangs, one refuses; the third is found and measured all the same, and each is told apart."""
    async with replaying() as silent, fake_ollama(m="d1") as ollama:
        silent.otherwise = hang
        chosen = settings(timeout_s=1.0, box=ollama.url, silent=silent.url, absent="http://127.0.0.1:1")
        async with running(chosen) as (_, client):
            await eventually(lambda: _measured(client), what="measured")

            async def told_apart() -> bool:
                views = (await client.endpoints()).endpoints
                return {view.endpoint: view.state.outcome for view in views if view.state} == {
                    "absent": Outcome.REFUSED,
                    "box": Outcome.OK,  # though a busy machine may let it be late once
                    "silent": Outcome.TIMEOUT,
                }

            await eventually(told_apart, what="all observed, and told apart")


@pytest.mark.fault("a server with models that are not loaded", "I13")
async def test_no_request_of_ours_loads_or_configures(running: Run) -> None:
    """Over a whole cycle of all services, probes generate nothing where nothing is loaded."""
    async with fake_ollama(m="d1") as ollama:
        ollama.unloads = True
        async with running(settings(box=ollama.url)) as (_, client):
            await eventually(lambda: _measured(client), what="measured")

            # The benchmark's warm-up and its two runs, three calls that prove capabilities, and no probe.
            async def six_generated() -> bool:
                return len(_asked(ollama)) >= 6

            await eventually(six_generated, what="the capabilities checked")
            before = ollama.tags_asked
            await eventually(lambda: _asked_again(ollama, before + 3), what="three more cycles of probes")
        assert len(_asked(ollama)) == 6
        for request in ollama.replay.requests:
            assert "keep_alive" not in (request.body or {})
            assert "num_ctx" not in (request.body or {}).get("options", {})


async def _asked_again(ollama: FakeOllama, times: int) -> bool:
    return ollama.tags_asked >= times


async def test_a_found_model_proves_what_it_can_do_after_its_first_benchmark(running: Run) -> None:
    """Proof outweighs declaration, the cold figures are the benchmark's, and all use is in the ledger."""
    async with (
        fake_ollama(m="d1") as ollama,
        running(settings(box=ollama.url)) as (_, client),
    ):

        async def proved() -> ModelView | None:
            views = (await client.models()).models
            view = (await client.model(views[0].model)).models[0] if views else None
            return view if view and view.attempts else None

        view = await eventually(proved, what="proved")
        assert view is not None
        assert view.capabilities["chat"].evidence is Evidence.VERIFIED
        tools = view.capabilities["tools"]
        assert (tools.value, tools.evidence) == (False, Evidence.VERIFIED)
        assert view.performance is not None
        assert view.performance.ttft_cold_ms is not None

        async def accounted() -> set[str]:
            (box,) = (await client.endpoints()).endpoints
            ledger = box.state.ledger if box.state else None
            return set(ledger.by) - {"load"} if ledger and "verify" in ledger.by else set()

        assert await eventually(accounted, what="accounted") == {"benchmark", "discover", "probe", "verify"}
        explained = await client.explain("agent")
        (rejection,) = [reason for reason in explained.rejections if reason.code == "capability"]
        assert rejection.value == "no (verified)"


async def test_failed_probes_leave_their_transcripts(running: Run) -> None:
    """What was sent and what came back, of a model that fails while its endpoint answers."""
    async with fake_ollama(m="d1") as ollama, running(settings(box=ollama.url)) as (_, client):
        await eventually(lambda: _measured(client), what="measured")
        ollama.replay.routes["POST", "/api/show"] = reply(500, {"error": "out of memory"})
        ollama.replay.routes["POST", "/api/chat"] = reply(500, {"error": "out of memory"})

        async def failed() -> ModelView | None:
            view = (await client.model("box/m")).models[0]
            return view if view.status == "degraded" and view.failures else None

        view = await eventually(failed, what="a failure with its transcript")
        assert view is not None
        exchange = view.failures[-1].exchange
        assert exchange.sent.startswith("POST /api/")
        assert exchange.received == 'HTTP 500 {"error": "out of memory"}'
        assert (await client.models()).models[0].failures == ()


async def test_a_budget_ends_what_is_done_unasked(running: Run) -> None:
    """A benchmark that it does not cover is not begun; what a person asks for is done all the same."""
    chosen = settings(box="")
    async with fake_ollama(m="d1") as ollama:
        tight = EndpointSettings(url=ollama.url, host_group="box", budget=Budget(tokens_per_day=50))
        chosen = msgspec.structs.replace(chosen, endpoints={"box": tight})
        async with running(chosen) as (up, client):
            await eventually(lambda: _probed(client), what="probed")
            assert [r for r in ollama.replay.requests if r.path == "/api/chat"] == []
            operator = Nats(url=up.connection.operator_url)
            async with connect(operator, name="test") as connection, operating(connection) as operation:
                target = Target(endpoint="box", group="box", model=ModelRef("box", "m"))
                jobs = await operation.request("benchmark", [target])
                async with asyncio.timeout(60):
                    told = [progress async for _, progress in operation.follow(jobs)]
            assert told[-1].state == "done"


async def _probed(client: Client) -> bool:
    views = (await client.models()).models
    return bool(views) and views[0].availability is not None and views[0].availability.probes_24h > 2


@pytest.mark.lane("faults")
@pytest.mark.fault(
    "an endpoint lists other names each time",
    "I6",
    "I13",
    without=("vedette_discoverer.handlers:admit", _admit_all),
)
async def test_names_that_change_at_each_listing_are_refused(running: Run) -> None:
    """The endpoint brings its first models and a day's allowance, says what it refused, and harms no other."""
    async with fake_ollama(good="g") as good, fake_ollama(a="1", b="2") as churning:
        chosen = settings(discovery="1s", box=good.url, churn=churning.url)
        chosen = msgspec.structs.replace(chosen, probing=Probing(new_models_per_day=3))
        async with running(chosen) as (up, client):
            await listed(client, 3)
            for number in range(4):
                asked = churning.tags_asked
                churning.models = {f"new-{number}-{n}": "d" for n in range(2)}

                async def listed_twice(asked: int = asked) -> bool:
                    return churning.tags_asked >= asked + 3

                await eventually(listed_twice, what="listings")

            async def refusing() -> EndpointView | None:
                views = {view.endpoint: view for view in (await client.endpoints()).endpoints}
                state = views["churn"].state
                return views["churn"] if state and state.intake and state.intake.refused else None

            view = await eventually(refusing, what="names refused")
            assert view is not None
            assert view.state is not None
            assert view.state.intake is not None
            assert (view.state.intake.names, view.state.intake.refused) == (3, 2)
            async with connect(Nats(url=up.connection.operator_url), name="test") as connection:
                js = connection.jetstream(timeout=60)
                found = (await js.stream_info("MODELS", subjects_filter="model.found.churn.*")).state.subjects
            assert len(found or {}) == 5  # the first two, and three more
            assert (await client.model("box/good")).models[0].status == "available"


@pytest.mark.lane("faults")
@pytest.mark.fault(
    "one model has several names at a server",
    "I13",
    without=("vedette_benchmarker.permission:copy_measured", lambda *_: None),
)
async def test_copies_of_the_same_weights_are_measured_and_asked_once(running: Run) -> None:
    """Which Ollama's tags are. The others have what was measured beside them as `same_weights`.

    Which of them is measured is open: the server may describe the second one first, and its job may run then.
    """
    async with (
        fake_ollama(a="d", b="d", c="other") as ollama,
        running(settings(box=ollama.url)) as (_, client),
    ):

        async def measured() -> set[str]:
            return {view.model.name for view in (await client.models()).models if view.performance}

        async def one_of_them() -> bool:
            return await measured() in ({"a", "c"}, {"b", "c"})

        await eventually(one_of_them, what="one of the copies, and the other model, measured")
        kept = await measured()
        (copy,) = {"a", "b"} - kept
        (original,) = kept - {"c"}
        ollama.loaded |= {copy}
        before = ollama.tags_asked
        await eventually(lambda: _asked_again(ollama, before + 4), what="more cycles of probes")
        assert await measured() == kept
        (view,) = (await client.model(ModelRef("box", copy))).models
        assert view.same_weights == (ModelRef("box", original),)
        benchmarks = [r.model for r in ollama.replay.requests if r.path == "/api/chat" and not _is_probe(r)]
        assert copy not in benchmarks


def _is_probe(request: Exchange) -> bool:
    return "Reply with one word: ready" in str(request.body)


@pytest.mark.lane("faults")
@pytest.mark.fault(
    "a user has a model loaded that a measurement would push out",
    "I13",
    without=("vedette_benchmarker.measuring:defer_s", lambda *_: 0.0),
)
async def test_a_measurement_yields_to_the_model_that_a_user_has_loaded(running: Run) -> None:
    """It is measured itself; the others wait, unless a person asks."""
    async with fake_ollama(theirs="d1", other="d2") as ollama:
        ollama.loaded.add("theirs")
        async with running(settings(box=ollama.url)) as (up, client):

            async def measured() -> set[str]:
                return {view.model.name for view in (await client.models()).models if view.performance}

            async def theirs_measured() -> bool:
                return await measured() == {"theirs"}

            await eventually(theirs_measured, what="the loaded model measured")
            before = ollama.tags_asked
            await eventually(lambda: _asked_again(ollama, before + 4), what="more cycles")
            assert await theirs_measured()
            assert "other" not in {request.model for request in _asked(ollama)}
            operator = Nats(url=up.connection.operator_url)
            async with connect(operator, name="test") as connection, operating(connection) as operation:
                target = Target(endpoint="box", group="box", model=ModelRef("box", "other"))
                await operation.request("benchmark", [target])

                async def asked() -> bool:
                    return await measured() == {"theirs", "other"}

                await eventually(asked, what="measured when asked for")


@pytest.mark.lane("faults")
@pytest.mark.fault("a restart in the middle of a measurement", "I12")
@pytest.mark.usefixtures("needs_nats")
async def test_what_vedette_has_loaded_holds_nothing_up_after_a_restart(tmp_path: Path) -> None:
    """It was written down before it was loaded, so it is not taken for a user's."""
    async with fake_ollama(a="d1") as ollama:
        async with apart(settings(box=ollama.url), tmp_path) as (_, client):
            await eventually(lambda: _measured(client), what="measured")
        assert ollama.loaded == {"a"}
        ollama.models["b"] = "d2"
        async with apart(settings(box=ollama.url), tmp_path) as (up, client):
            async with connect(Nats(url=up.connection.operator_url), name="test") as connection:
                # A job that was in hand when the private NATS server stopped comes back after that.
                await shorten_ack_wait(connection.jetstream(timeout=60), 10.0)
            await listed(client, 2)
            await eventually(lambda: _measured(client), what="the new model measured too")


def _asked(ollama: FakeOllama) -> list[Exchange]:
    return [request for request in ollama.replay.requests if request.path == "/api/chat"]
