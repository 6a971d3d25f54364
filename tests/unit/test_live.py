"""What a live view knows: rows as replied, kept current by few queries, and lines that work in a pipe."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from random import Random

import pytest
from msgspec.structs import replace

from catalogues import catalogue
from eventually import eventually
from samples import benchmark_event, lifecycle_event, model_info, probe_event, winner_event
from scripted import Scripted
from vedette.cli.live import plain
from vedette.cli.live.feed import MAX_GETS, Feed, step
from vedette.cli.live.fleet import MODELS, Order, ordered, summary
from vedette.cli.output import Screen
from vedette.messages.events import AnswerChanged, Event
from vedette.messages.queries import ModelView
from vedette.testing import EPOCH, FakeClock
from vedette.types import Claim, Evidence, ModelRef, Outcome, Status

NOW = EPOCH
A, B = ModelRef("box", "a"), ModelRef("box", "b")
CHAT = Claim(value=True, evidence=Evidence.VERIFIED, source="test")
FOUND = [
    (n, lifecycle_event("found", ref, at=NOW, info=model_info(ref, kind="chat", capabilities={"chat": CHAT})))
    for n, ref in enumerate((A, B), 1)
]
RANDOM = catalogue(Random(7), 60)[1]


def feed_of(source: Scripted, *announced: AnswerChanged, use_cases: Iterable[str] = ("chat",)) -> Feed:
    """Return a feed on *source* whose rounds are short."""

    async def changes() -> Iterable[AnswerChanged]:
        return announced

    return Feed(source, use_cases=list(use_cases), announced=changes, clock=FakeClock(NOW), every_s=0.02)


@asynccontextmanager
async def running(feed: Feed) -> AsyncIterator[Feed]:
    """Run *feed* until the context ends, from when it has listed the models."""
    task = asyncio.create_task(feed.run())
    try:
        await until(feed, lambda: bool(feed.log.total))
        yield feed
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(feed: Feed, holds: object) -> None:
    """Return when *holds* is true, which the feed brings about."""

    async def ask() -> bool:
        return bool(holds())  # type: ignore[operator]

    await eventually(ask, what=f"{summary(feed.fleet)}; {log_of(feed)}")


def log_of(feed: Feed) -> str:
    """Return the log as text."""
    return "\n".join(line.plain for line in feed.log.entries)


# --- Rows ------------------------------------------------------------------------------------------------------


def views() -> list[ModelView]:
    """Return the models of a random catalogue, as a recommender replies."""
    return list(asyncio.run(Scripted(*RANDOM).models()).models)


FIGURES = {
    "model": lambda view: str(view.model),
    "status": lambda view: -list(Status).index(view.status),
    "loaded": lambda view: view.resident,
    "tokens/s": lambda view: (
        None
        if view.performance is None
        else view.performance.texts_per_s
        if view.performance.texts_per_s is not None
        else view.performance.output_tps
    ),
    "TTFT": lambda view: view.performance and view.performance.ttft_ms,
    "up 24 h": lambda view: view.availability and view.availability.uptime_24h,
    "probed": lambda view: view.availability and view.availability.checked_at,
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("column", range(len(MODELS)), ids=[column.title for column in MODELS])
def test_any_column_sorts_both_ways_and_what_is_unknown_comes_last(column: int, reverse: bool) -> None:
    all_views = views()
    by_model = {view.model: view for view in all_views}
    order = Order(column, reverse)
    sorted_models = ordered(all_views, order)
    figures = [FIGURES[MODELS[column].title](by_model[model]) for model in sorted_models]
    known = [figure for figure in figures if figure is not None]
    assert sorted(sorted_models) == sorted(by_model)
    assert figures[: len(known)] == known
    assert known == sorted(known, reverse=order.descending)
    assert known


def test_every_column_can_be_reached_and_reversed() -> None:
    order, seen = Order(), []
    for _ in MODELS:
        seen.append(order.column)
        assert order.descending != Order(order.column, reverse=True).descending
        order = order.next()
    assert (seen, order) == (list(range(len(MODELS))), Order())


def test_a_filter_takes_every_word_in_name_or_status() -> None:
    all_views = views()
    found = ordered(all_views, Order(), "HOST-1 auth f")
    wanted = [
        view.model for view in all_views if view.status == "auth_failed" and "host-1" in str(view.model)
    ]
    assert found
    assert found == sorted(wanted)
    assert ordered(all_views, Order(), "host-1 nothing") == []


# --- Queries ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "models", "listed_s", "expected"),
    [
        (0, 0, None, "list"),  # never listed
        (0, 500, 1.0, None),
        (1, 500, 1.0, "get"),
        (500, 500, 1.0, "get"),  # a list was asked for a moment ago
        (500, 500, 5.0, "list"),
        (MAX_GETS, 500, 30.0, "get"),
        (0, 500, 60.0, "list"),  # a status may have become stale
        (10_000, 10_000, 60.0, "get"),  # a list has twenty pages
        (10_000, 10_000, 100.0, "list"),
    ],
)
def test_few_changes_are_asked_for_one_by_one_and_many_by_a_list_now_and_then(
    changed: int, models: int, listed_s: float | None, expected: str | None
) -> None:
    assert step(changed=changed, models=models, listed_s=listed_s) == expected


async def test_models_are_listed_once_and_then_only_those_that_changed_are_asked_for() -> None:
    source = Scripted(*FOUND)
    async with running(feed_of(source)) as feed:
        assert feed.fleet.views == {ref: source.view(ref) for ref in (A, B)}
        source.happen(benchmark_event(A, at=NOW, tps=77.0))
        await until(feed, lambda: "77.0" in feed.fleet.rows[A])
        assert feed.fleet.views[A] == source.view(A)
        assert (source.asked["models.list"], source.asked["models.get"]) == (1, 1)


async def test_without_a_model_the_command_that_says_why_is_named() -> None:
    async with running(feed_of(Scripted())) as feed:
        assert summary(feed.fleet).startswith("0 models · ")
        assert '"vedette doctor" shows what is reachable' in summary(feed.fleet)
    async with running(feed_of(Scripted(*FOUND))) as feed:
        assert "doctor" not in summary(feed.fleet)


async def test_a_storm_of_changes_costs_a_list_and_no_query_for_each_model() -> None:
    models = [ModelRef("box", f"m{number}") for number in range(500)]
    source = Scripted(*((n, lifecycle_event("found", ref, at=NOW)) for n, ref in enumerate(models, 1)))
    feed = feed_of(source)
    async with running(feed):
        assert isinstance(feed.clock, FakeClock)
        await until(feed, lambda: source.asked["recommend.best"] > 1)  # the round of the list is over
        feed.clock.advance(10)
        source.happen(*(probe_event(ref, at=NOW, job_id="p") for ref in models))
        await until(feed, lambda: all(view.availability for view in feed.fleet.views.values()))
        assert source.asked["models.list"] == 2
        assert source.asked["models.get"] <= MAX_GETS


async def test_a_lost_model_goes_and_a_found_one_comes() -> None:
    source = Scripted(*FOUND)
    new = ModelRef("box", "c")
    async with running(feed_of(source)) as feed:
        source.happen(lifecycle_event("lost", A, at=NOW, revision=2), lifecycle_event("found", new, at=NOW))
        await until(feed, lambda: set(feed.fleet.rows) == {B, new})
        assert "box/a lost" in log_of(feed)


async def test_winners_come_with_their_score_and_since_when() -> None:
    """Also of a use case that only an announcement names; one that is not known goes."""
    events = [(3, probe_event(A, at=NOW, job_id="p"))]
    source = Scripted(*FOUND, *events)
    feed = feed_of(
        source,
        winner_event(A, at=NOW),
        winner_event(None, at=NOW, use_case="embedding"),
        use_cases=("chat", "no-such"),
    )
    async with running(feed):
        await until(feed, lambda: feed.fleet.announced and "embedding" in feed.fleet.winners)
        await until(feed, lambda: "no-such" not in feed.fleet.winners)
        best = (await source.best("chat", limit=1)).recommendation
        shown = feed.fleet.winners["chat"]
        assert best is not None
        assert shown is not None
        assert shown.recommendation == best
        since = feed.fleet.announced["chat"]
        assert (since.model, since.at) == (best.model, NOW)


async def test_after_a_restart_all_is_listed_again_and_said() -> None:
    source = Scripted(*FOUND)
    async with running(feed_of(source)) as feed:
        source.down = True
        await until(feed, lambda: feed.fleet.silent_since is not None)
        assert summary(feed.fleet).startswith("NO REPLY since ")
        source.restart(benchmark_event(B, at=NOW, tps=88.0))
        await until(feed, lambda: "88.0" in feed.fleet.rows[B])
        await until(feed, lambda: feed.fleet.silent_since is None)
        await until(feed, lambda: "was reconnected" in log_of(feed))
        told = log_of(feed)
        assert "does not reply" in told
        assert "replies again" in told
        assert told.count("does not reply") == 1


async def test_a_reader_that_was_too_slow_lists_again() -> None:
    source = Scripted(*FOUND)
    async with running(feed_of(source)) as feed:
        source.happen(benchmark_event(B, at=NOW, tps=88.0), unheard=True)
        source.heard.events.put_nowait(None)
        await until(feed, lambda: "88.0" in feed.fleet.rows[B])
        assert "faster than they are read" in log_of(feed)


async def test_the_log_has_each_new_status_once_and_an_outage_in_a_line() -> None:
    source = Scripted(*FOUND)
    up = probe_event(A, at=NOW, job_id="1")
    refused = replace(up.sample, outcome=Outcome.REFUSED, detail="nothing listens")
    down = replace(
        up, sample=refused, health=replace(up.health, status=Status.UNREACHABLE, outcomes=(refused,))
    )
    events: list[Event] = [up, up, down, replace(down, model=B), benchmark_event(A, at=NOW, tps=9.0)]
    async with running(feed_of(source)) as feed:
        source.happen(*events)
        await until(feed, lambda: "benchmarked" in log_of(feed))
        told = log_of(feed)
        assert told.count("box/a is available") == 1
        assert told.count("endpoint box is unreachable: connection refused, nothing listens; 2 models") == 1
        assert "box/b" not in told


# --- Lines -----------------------------------------------------------------------------------------------------


async def test_in_a_pipe_there_are_lines_of_the_log_and_nothing_else() -> None:
    source = Scripted(*FOUND)
    feed, written = feed_of(source), io.StringIO()
    task = asyncio.create_task(plain.follow(feed, Screen(file=written, width=10_000), every_s=0.02))
    source.happen(benchmark_event(A, at=NOW, tps=77.0))
    await until(feed, lambda: "77.0 tokens/s" in written.getvalue())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert written.getvalue() == f"{log_of(feed)}\n"


async def test_on_a_terminal_a_line_on_the_fleet_stays_below() -> None:
    source = Scripted(*FOUND, (3, probe_event(A, at=NOW, job_id="p")))
    feed, written = feed_of(source), io.StringIO()
    screen = Screen(file=written, width=60, force_terminal=True, color_system=None)
    task = asyncio.create_task(plain.follow(feed, screen, every_s=0.02))
    await until(feed, lambda: "chat: box/a" in written.getvalue())
    source.happen(benchmark_event(A, at=NOW, tps=77.0))
    await until(feed, lambda: "77.0 tokens/s" in written.getvalue())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    line = plain.pinned(feed.fleet).plain
    assert line.startswith("chat: box/a ")
    assert "2 models: 1 available, 1 unknown" in line
    assert "Vedette replies: 2 models" in written.getvalue()
