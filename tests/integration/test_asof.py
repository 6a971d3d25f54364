"""The past as it was: what is told as of a time is what was said then, on SQLite and PostgreSQL."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from eventually import eventually
from samples import benchmark_event, lifecycle_event, model_info, rating_event, report_event
from vedette import Client
from vedette.bus.bus import Bus
from vedette.errors import NoAnswer, RequestError
from vedette.messages import ids
from vedette.messages.catalogue import Catalogue
from vedette.messages.codec import encode
from vedette.messages.events import (
    Event,
    ModelEvaluated,
    ModelJudged,
    ModelProbed,
    ModelReported,
    ModelVerified,
)
from vedette.messages.queries import (
    ExplainReply,
    ModelsPastReply,
    ModelsReply,
    PastReply,
    PastRequest,
    RecommendPastReply,
)
from vedette.messages.validation import fitting
from vedette.runtime.nats_server import NatsServer
from vedette.settings import Database, EndpointSettings, Settings
from vedette.testing import FakeClock
from vedette.types import (
    Claim,
    Evidence,
    Health,
    Judged,
    Judgement,
    JudgeReport,
    Level,
    ModelRef,
    Outcome,
    ProbeSample,
    Quality,
    Rating,
    Residency,
    Score,
)
from vedette.usecases import BUILT_IN
from vedette_prober.verdict import fold
from vedette_recommender.answers import Answers
from vedette_recommender.app import serve as serve_recommender
from vedette_recommender.as_of import Past
from vedette_recorder import app, queries, reconstruct
from vedette_recorder.answers import Answers as History
from vedette_recorder.record import Message, Row, rows_of
from vedette_recorder.store import Store
from vedette_recorder.tables import model_availability_history, model_info_history

pytest_plugins = ("database",)

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOW = NOON + timedelta(days=1)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
FIRST, SECOND, GONE = (ModelRef("box", name) for name in ("first:1b", "second/2", "a.gone"))
CHAT = {"chat": Claim(value=True, evidence=Evidence.DECLARED, source="test")}
OVER = partial(
    Answers,
    endpoints={"box": EndpointSettings(url="http://h:1")},
    use_cases=BUILT_IN,
    stale_after=timedelta(minutes=90),
    base_url=lambda *_: None,
)


class Told:
    """Probes of one model, each folded into the health after it as the prober does."""

    def __init__(self, model: ModelRef) -> None:
        self._model = model
        self._health: Health | None = None

    def probe(self, at: datetime, outcome: Outcome = Outcome.OK) -> ModelProbed:
        """Return the next probe."""
        job_id = ids.derive(at, str(self._model), "probe")
        sample = ProbeSample(job_id=job_id, at=at, outcome=outcome, level=Level.ANSWER, latency_ms=20.0)
        residency = Residency(resident=True, context_tokens=8192)
        self._health = fold(self._health, sample, residency)
        return ModelProbed(id=job_id, at=at, model=self._model, sample=sample, health=self._health)


def evaluated(model: ModelRef, at: datetime, successes: int, before: Quality | None = None) -> ModelEvaluated:
    """Return an evaluation on top of those *before*, which proves that the model can summarise."""
    own = Score(successes=successes, trials=20, suite="instructions@1")
    held = before.scores["instructions"] + own if before else own
    return ModelEvaluated(
        id=ids.derive(at, str(model), "evaluated"),
        at=at,
        model=model,
        job_id="e",
        outcome=Outcome.OK,
        scores={"instructions": own},
        claims={"summarisation": Claim(value=True, evidence=Evidence.VERIFIED, source="needle@1")},
        quality=Quality(measured_at=at, scores={"instructions": held}),
    )


def verified(model: ModelRef, at: datetime) -> ModelVerified:
    """Return the proof that the model calls tools."""
    tools = Claim(value=True, evidence=Evidence.VERIFIED, source="a call")
    return ModelVerified(
        id=ids.derive(at, str(model), "verified"),
        at=at,
        model=model,
        job_id="v",
        outcome=Outcome.OK,
        claims={"tools": tools},
        embedding_dimensions=384,
    )


def judged(model: ModelRef, at: datetime, strength: float) -> ModelJudged:
    """Return what a judge found of the model's texts."""
    report = JudgeReport(
        judge=ModelRef("local", "judge"),
        tasks="summarisation@1",
        test=Score(successes=8, trials=8, suite="summarisation@1"),
    )
    found = Judgement(at=at, session="s", report=report, strength=strength, error=0.3, wins=5, losses=3)
    return ModelJudged(
        id=ids.derive(at, str(model), "judged"),
        at=at,
        model=model,
        job_id="s",
        judged=Judged(judgements={"summarisation": found}),
    )


def rated(model: ModelRef, at: datetime, score: float) -> Event:
    """Return that a user vouches for the model in `fast`."""
    return rating_event(
        model, Rating(score=score, source="us", as_of=date(2026, 11, 1), use_case="fast"), at=at
    )


def story() -> list[Event]:
    """Return what happened, in order: until noon the first is the best, from then on the second."""
    probes = {model: Told(model) for model in (FIRST, SECOND, GONE)}
    events: list[Event] = []
    for n, model in enumerate((FIRST, SECOND, GONE)):
        info = model_info(model, capabilities=CHAT, native_context_tokens=32_768, locality="local")
        events.append(lifecycle_event("found", model, at=NOON - timedelta(days=9, minutes=n), info=info))
    for day in range(8, 0, -1):
        at = NOON - timedelta(days=day)
        bad = Outcome.REFUSED if day == 3 else Outcome.OK
        events += [probes[FIRST].probe(at), probes[SECOND].probe(at, bad), probes[GONE].probe(at)]
    events += [
        lifecycle_event("lost", GONE, at=NOON - 3 * HOUR, revision=2),
        verified(FIRST, NOON - 2 * HOUR),
        rated(SECOND, NOON - 2 * HOUR, 0.6),
        benchmark_event(FIRST, at=NOON - 2 * HOUR, tps=40.0),
        benchmark_event(SECOND, at=NOON - HOUR, tps=10.0, ttft_ms=400.0),
        evaluated(FIRST, NOON - HOUR, 15),
        probes[FIRST].probe(NOON - 30 * MINUTE),
        probes[SECOND].probe(NOON - 30 * MINUTE, Outcome.BUSY),
        report_event(FIRST, at=NOON - 10 * MINUTE, calls=4),
    ]
    changed = lifecycle_event(
        "changed",
        SECOND,
        at=NOON - 5 * MINUTE,
        revision=2,
        info=model_info(SECOND, capabilities=CHAT, native_context_tokens=65_536, locality="local"),
    )
    first_quality = evaluated(SECOND, NOON, 19)
    events += [
        changed,
        first_quality,
        evaluated(SECOND, NOON + timedelta(seconds=1), 20, first_quality.quality),
        benchmark_event(SECOND, at=NOON + timedelta(seconds=2), tps=400.0, ttft_ms=30.0),
        probes[SECOND].probe(NOON + timedelta(seconds=3)),
        rated(SECOND, NOON + timedelta(seconds=4), 0.9),
        judged(FIRST, NOON + timedelta(seconds=5), 1.0),
        judged(SECOND, NOON + timedelta(seconds=6), -1.0),
        lifecycle_event("found", GONE, at=NOON + HOUR, revision=3),
        probes[FIRST].probe(NOON + HOUR, Outcome.TIMEOUT),
        benchmark_event(FIRST, at=NOON + 2 * HOUR, tps=4000.0),
    ]
    return events


def numbered(events: Sequence[Event]) -> list[tuple[int, Event]]:
    """Return *events* with their places in their streams: reports have one of their own."""
    reports = [event for event in events if isinstance(event, ModelReported)]
    others = [event for event in events if not isinstance(event, ModelReported)]
    return [
        ((reports if isinstance(event, ModelReported) else others).index(event) + 1, event)
        for event in events
    ]


async def record(store: Store, events: Sequence[Event]) -> None:
    """Write the rows of *events*."""
    rows: list[Row] = []
    for sequence, event in numbered(events):
        stream = "REPORTS" if isinstance(event, ModelReported) else "MODELS"
        message = Message(
            stream=stream,
            stream_created_at=NOON,
            sequence=sequence,
            at=event.at,
            subject=event.subject,
            payload=encode(event),
        )
        rows += rows_of(event, message)
    assert await store.write(rows) == ()


async def recalled(store: Store, request: PastRequest) -> PastReply:
    """Return a page of the past."""
    history = History(store=store, clock=FakeClock(NOW))
    return msgspec.json.decode(await history.answer("history.asof", encode(request)), type=PastReply)


def recommender(store: Store, at: datetime = NOW) -> Past:
    """Return who answers what would have been recommended."""

    async def recall(request: PastRequest) -> PastReply:
        return await recalled(store, msgspec.structs.replace(request, limit=1))

    return Past(recall=recall, answers=OVER, use_cases=BUILT_IN, clock=FakeClock(at))


async def then(store: Store, at: datetime, use_case: str = "chat") -> RecommendPastReply:
    """Return what would have been recommended at *at*, asked for page by page."""
    request = msgspec.json.encode({"use_case": use_case, "at": at})
    reply = await recommender(store).answer("recommend.asof", request)
    return msgspec.json.decode(reply, type=RecommendPastReply)


def live(at: datetime, use_case: str = "chat") -> ExplainReply:
    """Return what a recommender that ran at *at* said."""
    heard = [(sequence, event) for sequence, event in numbered(story()) if event.at <= at]
    answers = OVER(catalogue=Catalogue.of(heard), clock=FakeClock(at))
    reply = answers.answer("recommend.explain", msgspec.json.encode({"use_case": use_case}))
    return msgspec.json.decode(reply, type=ExplainReply)


async def test_what_is_recommended_as_of_a_time_is_what_was_recommended_then(store: Store) -> None:
    """Whole: scores, contributions, rejections and reasons, before noon, after it, and when all is stale."""
    await record(store, story())
    for at in (NOON - MINUTE, NOON + MINUTE, NOON + 90 * MINUTE, NOON - timedelta(days=2), NOW):
        for use_case in ("chat", "summarisation", "agent", "fast"):
            told = await then(store, at, use_case)
            assert told.explanation == live(at, use_case), (at, use_case)
            assert told.at == at


async def test_the_best_before_and_after_it_changed(store: Store) -> None:
    """Another at 11:59 than at 12:01."""
    await record(store, story())
    before, after = await then(store, NOON - MINUTE), await then(store, NOON + MINUTE)
    models = [reply.explanation.recommendations[0].model for reply in (before, after)]
    assert models == [FIRST, SECOND]


async def test_the_catalogue_is_told_page_by_page(store: Store) -> None:
    """Models that were there then, by name; each page goes on where the one before ended."""
    await record(store, story())
    first = await recalled(store, PastRequest(at=NOON - 4 * HOUR, limit=2))
    assert [model.model for model in first.models] == [GONE, FIRST]
    assert first.next == FIRST
    second = await recalled(store, PastRequest(at=NOON - 4 * HOUR, limit=2, after=first.next))
    assert [model.model for model in second.models] == [SECOND]
    assert second.next is None
    assert first.probes_since == NOON - timedelta(days=8)
    assert [model.model for model in (await recalled(store, PastRequest(at=NOON))).models] == [FIRST, SECOND]


async def test_a_page_is_no_larger_than_a_message_may_be(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends sooner; one model is always told, or nobody would come past it."""
    await record(store, story())
    monkeypatch.setattr(fitting, "__defaults__", (1,))
    page = await recalled(store, PastRequest(at=NOON))
    assert [model.model for model in page.models] == [FIRST]
    assert page.next == FIRST


async def test_a_model_found_again_is_judged_by_its_probes_since(store: Store) -> None:
    """As the prober does: the tallies of before it was lost do not count."""
    told = Told(FIRST)
    again = Told(FIRST)
    at = [NOON - n * MINUTE for n in range(60, 0, -10)]
    events: list[Event] = [
        lifecycle_event("found", FIRST, at=at[0]),
        told.probe(at[1], Outcome.REFUSED),
        lifecycle_event("lost", FIRST, at=at[2], revision=2),
        lifecycle_event("found", FIRST, at=at[3], revision=3),
    ]
    await record(store, [*events, again.probe(at[5])])
    (model,) = (await recalled(store, PastRequest(at=NOON))).models
    probed = msgspec.json.decode(model.events[-1].event, type=ModelProbed)
    assert [tally.counts for tally in probed.health.daily] == [{"ok": 1}]
    assert [tally.counts for tally in probed.health.hourly] == [{"ok": 1}]
    (unprobed,) = (await recalled(store, PastRequest(at=at[4]))).models
    last = msgspec.json.decode(unprobed.events[-1].event)
    assert (unprobed.events[-1].subject, last["revision"]) == ("model.found.box.first=3A1b", 3)


async def test_what_is_not_known_of_the_past_is_said(store: Store) -> None:
    """Configuration always; probes where they are not recorded any more, or not for the whole week."""
    await record(store, story())
    assert (await then(store, NOON + MINUTE)).unknown == (
        "use cases, weights and endpoints are those configured now",
        "what servers worked on at that moment is not recorded",
    )
    assert "counts the probes since 2026-11-16" in (await then(store, NOON - timedelta(days=2))).unknown[-1]
    assert "no probe of that time" in (await then(store, NOON - timedelta(days=8, hours=1))).unknown[-1]


async def test_a_time_before_everything_has_no_models(store: Store) -> None:
    """Which is an answer."""
    told = await then(store, NOON)
    assert (told.explanation.recommendations, told.explanation.considered) == ((), 0)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"use_case": "chat", "at": "2026-11-26T00:00:00Z"}, "at"),
        ({"use_case": "chat", "at": "2026-11-24T00:00:00"}, "at"),
        ({"use_case": "chat"}, "at"),
        ({"use_case": "chatt", "at": "2026-11-24T00:00:00Z"}, "use_case"),
    ],
)
async def test_a_wrong_question_names_its_field(tmp_path: Path, wrong: dict[str, object], field: str) -> None:
    """Before the recorder is asked."""
    async with Store(f"sqlite+aiosqlite:///{tmp_path}/vedette.db") as store:
        with pytest.raises(RequestError) as caught:
            await recommender(store).answer("recommend.asof", msgspec.json.encode(wrong))
    assert caught.value.field == field


_PLANS = {
    "sqlite": ("ANALYZE", "EXPLAIN QUERY PLAN "),
    "postgresql": ("ANALYZE", "SET enable_seqscan = off", "EXPLAIN "),
}


async def test_the_last_of_each_kind_is_found_by_the_index(store: Store, url: str) -> None:
    """However long the history is: by endpoint, model and time, then by the event's id."""
    events: list[Event] = []
    for n in range(40):
        model = ModelRef("box", f"m{n}")
        told = Told(model)
        events.append(lifecycle_event("found", model, at=NOON - 50 * HOUR))
        events += [told.probe(NOON - hours * HOUR) for hours in range(49, 0, -1)]
    await record(store, events)
    engine = create_async_engine(url)
    *preparations, explain = _PLANS[engine.dialect.name]
    few = [ModelRef("box", f"m{n}") for n in range(2)]
    async with engine.connect() as connection:
        for preparation in preparations:
            await connection.exec_driver_sql(preparation)
        for query, index in (
            (queries.last(model_availability_history, few, NOON), "ix_model_availability_history_model"),
            (queries.found(few, NOON), "ix_model_info_history_model"),
            (
                queries.unpacked(queries.some(few), NOON - 50 * HOUR, NOON),
                "ix_model_availability_history_model",
            ),
        ):
            literal = query.compile(engine.sync_engine, compile_kwargs={"literal_binds": True})
            plan = "\n".join(str(row) for row in await connection.execute(sa.text(f"{explain}{literal}")))
            assert index in plan, plan
            assert "SCAN model_availability_history" not in plan, plan
            assert "Seq Scan on model_availability_history" not in plan, plan
    await engine.dispose()


async def test_an_agent_asks_what_would_have_been_said(
    bus: Bus, server: NatsServer, settings: Settings, tmp_path: Path
) -> None:
    """Recorder and recommender over NATS: the answer as of now is the answer now; without a recorder, none."""
    url = f"sqlite+aiosqlite:///{tmp_path}/vedette.db"
    chosen = msgspec.structs.replace(settings, database=Database(url=url))
    async with serve_recommender(chosen), Client(server.url("agent"), timeout_s=60) as client:
        with pytest.raises(NoAnswer, match="is a recorder running"):
            await client.asof("chat", datetime.now(UTC))
        async with app.serve(chosen):
            for event in story():
                await bus.js.publish(event.subject, encode(event))

            async def recorded() -> PastReply | None:
                page = await client.history_asof(NOON + 3 * HOUR)
                return page if len(page.models) == 3 and len(page.models[1].events) == 7 else None

            await eventually(recorded, what="recorded")
            told = await client.asof("chat", NOON + MINUTE, limit=1, locality="local")
            assert [one.model for one in told.explanation.recommendations] == [SECOND]
            with pytest.raises(RequestError, match="min_contxt") as caught:
                await client.asof("chat", NOON, min_contxt=1)  # type: ignore[call-arg]
            assert caught.value.field == "constraints.min_contxt"
            now = await client.explain("chat")
            again = await client.asof("chat", datetime.now(UTC))
            assert [one.model for one in again.explanation.recommendations] == [
                one.model for one in now.recommendations
            ]


def test_the_tables_are_those_that_are_read() -> None:
    """A lifecycle event comes from its table, a probe from its own, and all others by the map."""
    assert {model_info_history.name, model_availability_history.name}.isdisjoint(reconstruct.EVENTS)


@pytest.mark.fault("a caller's clock is some seconds ahead", "I10")
async def test_a_time_a_little_ahead_is_now() -> None:
    """A minute ahead is the future."""
    read: list[datetime] = []

    async def recall(request: PastRequest) -> PastReply:
        read.append(request.at)
        return PastReply(at=request.at, models=())

    past = Past(recall=recall, answers=OVER, use_cases=BUILT_IN, clock=FakeClock(NOW))
    await past.answer("models.asof", msgspec.json.encode({"at": NOW + timedelta(seconds=5)}))
    assert read == [NOW]
    with pytest.raises(RequestError, match="in the future"):
        await past.answer("models.asof", msgspec.json.encode({"at": NOW + MINUTE}))


async def test_the_models_as_of_a_time_are_those_that_were_listed_then(store: Store) -> None:
    """As `models.list` and `models.get` replied, and from one reading of the history, however many ask at once."""
    await record(store, story())
    at, read = NOON + MINUTE, []

    async def recall(request: PastRequest) -> PastReply:
        read.append(request.after)
        return await recalled(store, request)

    past = Past(recall=recall, answers=OVER, use_cases=BUILT_IN, clock=FakeClock(NOW))
    heard = [(sequence, event) for sequence, event in numbered(story()) if event.at <= at]
    answers = OVER(catalogue=Catalogue.of(heard), clock=FakeClock(at))
    asked: list[tuple[dict[str, object], str, dict[str, object]]] = [
        ({"sort": "output_tps", "limit": 1}, "models.list", {"sort": "output_tps", "limit": 1}),
        ({"model": str(SECOND)}, "models.get", {"model": str(SECOND)}),
    ]
    replies = await asyncio.gather(
        *(past.answer("models.asof", msgspec.json.encode({**then, "at": at})) for then, _, _ in asked),
        past.answer("recommend.asof", msgspec.json.encode({"use_case": "chat", "at": at})),
    )
    assert read == [None]
    for reply, (_, subject, wanted) in zip(replies, asked, strict=False):
        told = msgspec.json.decode(reply, type=ModelsPastReply)
        said = msgspec.json.decode(answers.answer(subject, msgspec.json.encode(wanted)), type=ModelsReply)
        assert [view.model for view in told.reply.models] == [view.model for view in said.models]
        assert [view.status for view in told.reply.models] == [view.status for view in said.models]
        assert (told.reply.total, told.reply.counts) == (said.total, said.counts)
        assert told.unknown
    gone = msgspec.json.encode({"model": str(GONE), "at": at})
    with pytest.raises(RequestError, match="no model"):
        await past.answer("models.asof", gone)
