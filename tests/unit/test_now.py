"""What is expected now: load, changes and crowds move replies, as docs/now.md says."""

import math
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from samples import lifecycle_event, model_info, probe_event, report_event
from vedette.messages import ids
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import EndpointLoad, ModelBenchmarked
from vedette.messages.queries import BestReply, ExplainReply
from vedette.testing import EPOCH, FakeClock
from vedette.types import (
    CHANGE_HOLDS_S,
    Claim,
    Evidence,
    Figure,
    Level,
    ModelLoad,
    ModelRef,
    Outcome,
    Performance,
    ProbeSample,
    Residency,
    RunSample,
    StreamsLoad,
    Sweep,
    Watch,
)
from vedette.usecases import known
from vedette_prober.load import lasting
from vedette_recommender.answers import Answers
from vedette_recommender.loading import TTFT_SHARING, USUAL_SHARING, Load, Pressure, shared, sharing
from vedette_recommender.spreading import Equal, Pressed, identity, order, taking, weights

CHAT = {"chat": Claim(value=True, evidence=Evidence.DECLARED, source="test")}
HOSTS = ("a", "b", "c", "d", "e")


def figure(value: float) -> Figure:
    return Figure(n=6, median=value, p95=value, min=value, max=value, spread=0.0)


def performance(tps: float = 40.0, ttft_ms: float = 180.0, **more: Any) -> Performance:
    return Performance(measured_at=EPOCH, n=6, output_tps=figure(tps), ttft_ms=figure(ttft_ms), **more)


class Fleet:
    """Equal hosts with one model each, and what answers questions about them."""

    def __init__(self, hosts: tuple[str, ...] = HOSTS) -> None:
        self.clock = FakeClock(EPOCH)
        self.catalogue = Catalogue()
        self.answers = Answers(
            catalogue=self.catalogue,
            endpoints={},
            use_cases=known({}),
            stale_after=timedelta(minutes=90),
            base_url=lambda _provider, _url: None,
            clock=self.clock,
        )
        self.sequence = 0
        for host in hosts:
            self.add(ModelRef(host, "m:8b"), performance())

    def add(self, model: ModelRef, performance: Performance) -> None:
        info = model_info(
            model,
            provider="llamacpp",
            url=f"http://{model.endpoint}:8080",
            capabilities=CHAT,
            native_context_tokens=8192,
            locality="local",
            size_bytes=4_000_000_000,
        )
        self.apply(lifecycle_event("found", model, at=EPOCH, info=info))
        self.apply(probe_event(model, at=EPOCH, job_id="p"))
        self.measure(model, performance)

    def measure(self, model: ModelRef, performance: Performance) -> None:
        self.apply(
            ModelBenchmarked(
                id=ids.derive(EPOCH, str(model), str(self.sequence)),
                at=EPOCH,
                model=model,
                job_id="b",
                outcome=Outcome.OK,
                performance=performance,
            )
        )

    def apply(self, event: Any) -> None:
        self.sequence += 1
        self.catalogue.apply(event, self.sequence)
        self.answers.changed(event)

    def load(self, host: str, running: int | None = None, **told: Any) -> None:
        self.apply(load(host, running, at=self.clock.now(), **told))

    def best(self, **asked: Any) -> BestReply:
        request = {"use_case": "chat", **asked}
        reply = self.answers.answer("recommend.best", msgspec.json.encode(request))
        return msgspec.json.decode(reply, type=BestReply)

    def first(self, **asked: Any) -> str:
        found = self.best(**asked).recommendation
        assert found is not None
        return found.model.endpoint

    def explain(self, **asked: Any) -> ExplainReply:
        request = {"use_case": "chat", **asked}
        reply = self.answers.answer("recommend.explain", msgspec.json.encode(request))
        return msgspec.json.decode(reply, type=ExplainReply)


def load(host: str, running: int | None = None, *, at: Any = EPOCH, **told: Any) -> EndpointLoad:
    return EndpointLoad(
        id=f"{host} {at} {running}",
        at=at,
        endpoint=host,
        every_s=10.0,
        source="llama.cpp slots",
        elapsed_ms=1.0,
        bytes=100,
        running=running,
        **told,
    )


def test_at_rest_everything_is_as_measured() -> None:
    fleet = Fleet()
    before = fleet.best()
    for host in HOSTS:
        fleet.load(host, 0, waiting=0, slots=4)
    after = fleet.best()
    assert after.recommendation == before.recommendation
    assert after.recommendation is not None
    assert after.recommendation.now is None


def test_what_a_server_works_on_makes_it_slower_and_the_reply_moves_away() -> None:
    """Both figures are told, and why; when the load is over, all is as before."""
    fleet = Fleet(("a", "b"))
    assert fleet.first() == "a"
    fleet.load("a", 4, waiting=3, slots=4)
    assert fleet.first() == "b"
    explained = fleet.explain(limit=2)
    loaded = explained.recommendations[1]
    assert loaded.ttft_ms == 180.0
    assert loaded.now is not None
    assert (loaded.now.running, loaded.now.waiting, loaded.now.slots) == (4, 3, 4)
    p = 1 + 3 * sharing([], [], [shared(performance()).estimate])
    assert loaded.expected_output_tps == pytest.approx(40 / p)
    assert loaded.expected_ttft_ms == pytest.approx(180 * (1 + 3 * TTFT_SHARING) + 1000 * 200 / (40 / p))
    (ttft,) = (part for part in loaded.contributions if part.signal == "ttft")
    assert "180 ms at rest" in ttft.note
    assert "4 running of 4 slots, 3 waiting" in ttft.note
    assert loaded.raw_score == sum(part.points for part in loaded.contributions)
    fleet.load("a", 0, waiting=0, slots=4)
    assert fleet.first() == "a"


def test_what_would_make_a_loaded_model_win_is_said_with_its_load() -> None:
    """A faster server is no remedy for one that is busy: who reads it sees that it is."""
    fleet = Fleet(("a", "b"))
    fleet.load("a", 2, waiting=0, slots=4, lasting=2.0)
    follows = fleet.explain(limit=2).summary[1]
    assert follows.startswith("a/m:8b follows")
    assert "2 running of 4 slots" in follows.partition("it would win with")[2]
    fleet.load("a", 0, waiting=0, slots=4, lasting=0.0)
    assert "slots" not in fleet.explain(limit=2).summary[1]


def test_a_deadline_counts_what_is_expected_now() -> None:
    fleet = Fleet(("a", "b"))
    fleet.load("a", 4, waiting=3, slots=4)
    reply = fleet.best(constraints={"max_ttft_ms": 1000})
    assert reply.recommendation is not None
    assert (reply.recommendation.model.endpoint, reply.rejected) == ("b", {"ttft": 1})


def test_the_speed_that_callers_reported_ends_without_reports_and_the_ttft_that_probes_show_stays() -> None:
    fleet, model = Fleet(("a",)), ModelRef("a", "m:8b")
    slow = tuple(
        ProbeSample(
            job_id=f"{n}",
            at=EPOCH - timedelta(minutes=10 - n),
            outcome=Outcome.OK,
            level=Level.ANSWER,
            latency_ms=1000.0 if n > 4 else 100.0,
        )
        for n in range(7)
    )
    fleet.apply(probe_event(model, at=EPOCH, job_id="slow", before=slow))
    told_at = EPOCH + timedelta(seconds=1)
    watch = Watch(level=math.log(2), changed_at=told_at, heard_at=told_at)
    fleet.apply(replace(report_event(model, at=told_at), watches={"speed": watch}))
    found = fleet.explain().recommendations[0]
    assert found.expected_output_tps == pytest.approx(20.0)
    assert found.now is not None
    assert found.now.output_times_slower == pytest.approx(2.0)
    fleet.clock.advance(CHANGE_HOLDS_S + 60)
    later = fleet.explain().recommendations[0]
    assert (later.output_tps, later.expected_output_tps) == (40.0, None)  # as at rest
    assert later.now is not None
    assert (later.now.output_times_slower, later.now.detected_by) == (1.0, "probes")
    assert later.now.ttft_times_slower == pytest.approx((180.0 + 900.0) / 180.0)


def test_a_load_that_is_not_renewed_counts_as_none() -> None:
    fleet = Fleet(("a", "b"))
    fleet.load("a", 4, waiting=3, slots=4)
    assert fleet.first() == "b"
    fleet.clock.advance(timedelta(seconds=61).total_seconds())
    assert fleet.first() == "a"


def test_a_reading_that_failed_says_nothing() -> None:
    fleet = Fleet(("a", "b"))
    fleet.load("a", 4, waiting=3, slots=4)
    fleet.load("a", outcome=Outcome.TIMEOUT)
    assert fleet.first() == "a"


def test_a_model_that_is_not_loaded_must_be_loaded_first() -> None:
    """As long as others of its endpoint took by their size, else a gigabyte a second."""
    fleet = Fleet(("a", "b"))
    fleet.load("a", 0, loaded={})
    reply = fleet.best()
    assert reply.recommendation is not None
    assert reply.recommendation.expected_ttft_ms == pytest.approx(180 + 4000)
    assert reply.recommendation.resident is False
    fleet.load("a", 0, loaded={"m:8b": Residency(resident=True)})
    warm = fleet.best().recommendation
    assert warm is not None
    assert warm.expected_ttft_ms == 180
    assert warm.resident is True


def test_a_model_at_a_busy_server_waits_and_is_loaded() -> None:
    """What a cold run took was at rest: the load comes on top of it."""
    fleet = Fleet(("a",))
    fleet.measure(ModelRef("a", "m:8b"), performance(ttft_cold_ms=figure(4180)))

    def expected(running: int, waiting: int, loaded: dict[str, Residency]) -> float:
        fleet.load("a", running, waiting=waiting, slots=4, loaded=loaded)
        (one,) = fleet.explain().recommendations
        return one.expected_ttft_ms or math.nan

    held = {"m:8b": Residency(resident=True)}
    assert expected(0, 0, {}) == pytest.approx(4180)
    assert expected(4, 3, {}) == pytest.approx(expected(4, 3, held) + 4000)


def test_a_model_that_another_one_evicted_is_cold_from_the_next_reading_on() -> None:
    """Whatever the last probe said of it; a load that says nothing of loaded models leaves that to the probe."""
    fleet = Fleet(("a",))
    model, held = ModelRef("a", "m:8b"), Residency(resident=True)
    probed = probe_event(model, at=EPOCH, job_id="q")
    health = msgspec.structs.replace(probed.health, residency=held)
    fleet.apply(msgspec.structs.replace(probed, health=health))
    fleet.load("a", 0)
    assert [one.resident for one in (fleet.best().recommendation,) if one] == [True]
    fleet.load("a", 1, loaded={"other:70b": held})
    evicted = fleet.best().recommendation
    assert evicted is not None
    assert evicted.resident is False
    assert (evicted.expected_ttft_ms or 0.0) > 4000


def test_a_reply_says_what_a_call_may_unload() -> None:
    """Of a model that is not loaded, as long as the load counts: no model that has left memory, nor of a stale load."""
    fleet = Fleet(("a",))
    held, ended = Residency(resident=True), Residency(resident=True, expires_at=EPOCH - timedelta(seconds=1))
    others = {"one:70b": held, "gone:8b": ended, "two:3b": held}
    fleet.load("a", 0, loaded=others)
    cold = fleet.explain()
    assert cold.recommendations[0].may_unload == ("one:70b", "two:3b")
    assert "a/m:8b is not loaded; its server may unload one:70b, two:3b to load it." in cold.summary
    fleet.load("a", 0, loaded=others | {"m:8b": held})
    warm = fleet.explain()
    fleet.load("a", 0, loaded={})
    empty = fleet.explain()
    fleet.load("a", 0, loaded=others)
    fleet.clock.advance(120)
    for reply in (warm, empty, fleet.explain()):
        assert reply.recommendations[0].may_unload == ()
        assert not any("unload" in line for line in reply.summary)


@given(
    running=st.integers(0, 50),
    waiting=st.integers(0, 50),
    slots=st.integers(1, 16),
    more=st.integers(0, 20),
    requests=st.integers(0, 16),
    ttft_ms=st.floats(10, 10_000),
    tps=st.floats(1, 500),
)
def test_more_load_never_makes_a_model_better(
    running: int, waiting: int, slots: int, more: int, requests: int, ttft_ms: float, tps: float
) -> None:
    """More at work; more that wait behind as many; or more *requests*, of which those wait that get no slot."""
    fleet = Fleet(("a",))
    fleet.measure(ModelRef("a", "m:8b"), performance(tps, ttft_ms))

    def pressure(running: int, waiting: int) -> Pressure:
        return Load(event=load("a", running, waiting=waiting, slots=slots)).pressure("m")

    def ttft(running: int, waiting: int) -> float:
        fleet.load("a", running, waiting=waiting, slots=slots)
        one = fleet.best().recommendation
        assert one is not None
        assert one.expected_ttft_ms is not None
        return one.expected_ttft_ms

    full = min(running, slots)
    assert 1.0 <= pressure(full, waiting).output <= pressure(min(full + more, slots), waiting).output
    assert ttft(full, waiting) <= ttft(full, waiting + more)
    assert ttft(min(requests, slots), max(0, requests - slots)) <= ttft(
        min(requests + more, slots), max(0, requests + more - slots)
    )


def test_a_models_own_figures_count_before_those_of_its_server() -> None:
    event = load("a", 5, slots=8, models={"m": ModelLoad(running=4, waiting=2, slots=4)})
    assert Load(event=event).requests("m") == (4, 2, 4)
    assert Load(event=event).requests("other") == (5, None, 8)


def test_how_much_requests_slow_each_other_is_learnt_from_sweeps_and_contention() -> None:
    def of(streams: int, tps: float) -> StreamsLoad:
        return StreamsLoad(streams=streams, throughput_tps=1.0, output_tps=figure(tps), ttft_ms=figure(1.0))

    batching = performance(sweep=Sweep(measured_at=EPOCH, loads=(of(1, 40), of(2, 39), of(8, 36))))
    sharer = performance(
        samples=tuple(
            RunSample(
                job_id="b", at=EPOCH, prompt="short", cold=False, output_tps=20.0, others=1, contended="1"
            )
            for _ in range(12)
        )
    )
    none = [shared(None)]
    assert sharing([one.total for one in none], [one.weight for one in none]) == USUAL_SHARING
    assert sharing([shared(batching).total], [shared(batching).weight]) < 0.15
    assert sharing([shared(sharer).total], [shared(sharer).weight]) > 0.75


# Seen on real servers (2026-12-01): tokens/s at rest, TTFT of about 110 tokens, and how many times slower one, two and
# three others that decode made the output.
SEEN_BESIDE = {
    "llama.cpp, one thread": (74.5, 574.0, (1.87, 2.78, 2.89)),
    "llama.cpp, two threads": (90.3, 346.0, (1.84, 2.49, 2.57)),
    "Ollama, one thread": (73.0, 545.0, (1.96, 2.81, 3.59)),
}


@pytest.mark.parametrize("server", SEEN_BESIDE)
def test_the_output_rate_next_to_others_is_as_real_servers_showed_without_any_sweep(server: str) -> None:
    """With p of 0.4, twice the rate was expected at some of them."""
    tps, ttft_ms, slower = SEEN_BESIDE[server]
    measured = performance(tps, ttft_ms, samples=(run(prompt_tokens=110),))
    p = sharing([], [], [shared(measured).estimate])
    for others, times in enumerate(slower, start=1):
        assert 0.8 < times / (1 + p * others) < 1.25


def run(**more: Any) -> RunSample:
    return RunSample(job_id="b", at=EPOCH, cold=False, **{"prompt": "short", **more})


def test_a_server_that_reads_prompts_much_faster_than_it_writes_is_hardly_slowed_by_others() -> None:
    """The way through the network is no work: it is in short and long prompts alike."""
    batching = performance(60.0, 350.0, ttft_long_ms=figure(400.0))
    assert shared(batching).estimate == pytest.approx(0.05)
    processor = performance(60.0, 350.0, ttft_long_ms=figure(350.0 + 900 * 5.0))
    assert shared(processor).estimate == pytest.approx(0.6)


def test_what_a_batch_gains_is_unknown_without_a_rate_and_a_sweep_counts_as_much_as_the_estimate() -> None:
    assert math.isnan(shared(Performance(measured_at=EPOCH, n=1, ttft_ms=figure(1.0))).estimate)
    assert math.isnan(shared(Performance(measured_at=EPOCH, n=1, output_tps=figure(1.0))).estimate)
    assert sharing([], [], [math.nan]) == USUAL_SHARING
    assert sharing([0.2], [1.0], [0.8, math.nan]) == pytest.approx(0.5)


def test_the_first_token_hardly_waits_for_others_where_a_slot_is_free() -> None:
    fleet = Fleet(("a",))
    fleet.load("a", 2, waiting=0, slots=4)
    (one,) = fleet.explain().recommendations
    assert one.expected_ttft_ms == pytest.approx(180.0 * 1.1)
    assert one.now is not None
    assert one.now.running == 2


# --- Crowds ----------------------------------------------------------------------------------------------------


def test_callers_are_spread_evenly_over_equals_and_each_keeps_its_own() -> None:
    fleet = Fleet()
    got = {n: fleet.first(caller=f"agent-{n}") for n in range(500)}
    counts = Counter(got.values())
    assert set(counts) == set(HOSTS)
    assert max(counts.values()) < 140
    other = Fleet()
    assert all(other.first(caller=f"agent-{n}") == host for n, host in got.items())
    sessions = {fleet.first(caller="agent-1", session=f"s{n}") for n in range(50)}
    assert sessions == set(HOSTS)


def test_without_a_name_the_best_is_what_is_announced() -> None:
    fleet = Fleet()
    assert fleet.first() == "a"
    standing = fleet.answers.winner_status("chat", None)
    assert standing.best is not None
    assert standing.best[0].endpoint == "a"


def test_an_account_is_a_name_unless_agents_share_it() -> None:
    fleet = Fleet()
    asked = b'{"use_case":"chat"}'
    plain = fleet.answers.answer("recommend.best", asked)
    assert fleet.answers.answer("recommend.best", asked, "CLIENT") == plain
    replies = {fleet.answers.answer("recommend.best", asked, f"agent-{n}") for n in range(50)}
    assert len(replies) > 1


def test_a_full_server_gets_no_further_callers_and_a_free_one_more() -> None:
    fleet = Fleet()
    for host in HOSTS:
        fleet.load(host, 4 if host == "a" else 0, waiting=0, slots=4)
    counts = Counter(fleet.first(caller=f"agent-{n}") for n in range(200))
    assert counts["a"] == 0
    explained = fleet.explain(caller="agent-7", limit=5)
    assert explained.spread
    assert any("Callers are spread over" in line for line in explained.summary)
    assert explained.recommendations[0].model.endpoint == fleet.first(caller="agent-7")


def test_the_fallbacks_are_the_other_equals_and_then_the_rest() -> None:
    fleet = Fleet()
    reply = fleet.best(caller="x", limit=4)
    assert reply.recommendation is not None
    served = [reply.recommendation, *reply.fallbacks]
    assert {one.model.endpoint for one in served} == set(HOSTS)
    assert [one.equivalent for one in served] == [False, True, True, True, True]


@given(
    st.lists(st.floats(0.0, 3.0), min_size=2, max_size=8),
    st.binary(min_size=1, max_size=32),
    st.integers(0, 7),
)
def test_another_weight_of_one_moves_no_caller_between_the_others(
    behind: list[float], who: bytes, changed: int
) -> None:
    """The order of all others stays; so does everything where nothing changed."""
    shares = weights(behind, [0.0] * len(behind))
    equals = [Equal(f"host-{n}/m", share) for n, share in enumerate(shares)]
    assert math.isclose(math.fsum(shares), 1.0)
    place = changed % len(equals)
    moved = [Equal(one.name, one.weight / 3) if n == place else one for n, one in enumerate(equals)]
    before, after = order(equals, who), order(moved, who)
    assert [n for n in before if n != place] == [n for n in after if n != place]
    assert after.index(place) >= before.index(place)


def test_noise_below_half_of_the_slots_moves_no_caller() -> None:
    """Nor does it move an agent without a name."""
    fleet = Fleet(("a", "b"))
    for caller in (None, *(f"agent-{n}" for n in range(10))):
        asked = {"caller": caller} if caller else {}
        got = set()
        for running in ((0, 0), (1, 0), (2, 0), (0, 2), (1, 2), (2, 1), (2, 2)):
            for host, n in zip("ab", running, strict=True):
                fleet.load(host, n, waiting=0, slots=4)
            got.add(fleet.first(**asked))
        assert len(got) == 1


def two_slow_hosts(*tps: float) -> Fleet:
    """Return two servers that take as long for a token of a prompt as for one of an answer, at *tps* tokens/s."""
    fleet = Fleet(())
    for host, rate in zip("ab", tps, strict=True):
        fleet.add(ModelRef(host, "m:8b"), performance(rate, 2000.0))
        fleet.load(host, 0, lasting=0.0, waiting=0, slots=4)
    return fleet


CALLERS: tuple[dict[str, str], ...] = ({}, {"caller": "one"}, {"caller": "two"}, {"caller": "three"})


@pytest.mark.parametrize("tps", [40.0, 29.0, 22.0])
def test_requests_that_come_and_go_move_no_caller_however_much_they_slow_each_other(tps: float) -> None:
    """On a processor two others make an answer three times slower. The two may be equals or some points apart."""
    fleet = two_slow_hosts(40.0, tps)
    before = [fleet.first(**caller) for caller in CALLERS]
    for running in ((2, 0), (0, 2), (1, 2), (2, 1), (0, 0)):
        for host, now in zip("ab", running, strict=True):
            fleet.load(host, now, lasting=0.8, waiting=0, slots=4)
        assert [fleet.first(**caller) for caller in CALLERS] == before


def noise(random: Random, gap_s: float) -> Callable[[float], int]:
    """Return how many of two clients are at work at a time: each rests for *gap_s* on average, then works for 4 s."""
    ends = [(random.expovariate(1 / gap_s), False) for _ in range(2)]

    def at(now: float) -> int:
        for n, (end, works) in enumerate(ends):
            while end <= now:
                works = not works
                end += random.uniform(1, 7) if works else random.expovariate(1 / gap_s)
            ends[n] = end, works
        return sum(works for _, works in ends)

    return at


def hour(fleet: Fleet, load_of: dict[str, Callable[[float], int]]) -> list[str]:
    """Return the answers of an hour, one after each round of readings."""
    answers, last = list[str](), dict[str, EndpointLoad]()
    for n in range(360):
        fleet.clock.advance(10.0)
        for host, running in load_of.items():
            now, slots = running(10.0 * n), {"waiting": 0, "slots": 4}
            mean, lasts = lasting(now, last.get(host), fleet.clock.now())
            event = load(host, now, at=fleet.clock.now(), mean_running=mean, lasting=lasts, **slots)
            last[host] = event
            fleet.apply(event)
        answers.append(fleet.first())
    return answers


@pytest.mark.parametrize("gap_s", [2.0, 6.0, 20.0])
@pytest.mark.parametrize("tps", [40.0, 38.2, 29.0, 21.7])
def test_in_an_hour_of_noise_the_answer_hardly_changes(tps: float, gap_s: float) -> None:
    """Two servers that are the same, or 0.2, 1.5 and 3 points apart; two others make an answer three times slower."""
    random = Random(f"{tps} {gap_s}")
    answers = hour(two_slow_hosts(40.0, tps), {"a": noise(random, gap_s), "b": noise(random, gap_s)})
    assert sum(one != other for one, other in pairwise(answers)) <= 4


@pytest.mark.parametrize("tps", [38.2, 29.0, 21.7])
def test_two_requests_that_last_are_left_within_a_minute(tps: float) -> None:
    answers = hour(two_slow_hosts(40.0, tps), {"a": lambda at: 2 * (at >= 1800), "b": lambda _: 0})
    assert answers[:180] == ["a"] * 180
    assert answers[186:] == ["b"] * len(answers[186:])


def test_requests_that_last_move_callers_though_half_of_the_slots_are_free() -> None:
    fleet = two_slow_hosts(40.0, 40.0)
    before = [fleet.first(**caller) for caller in CALLERS]
    for running in (2, 0):
        fleet.load("a", running, lasting=1.2, waiting=0, slots=4)
        assert {fleet.first(**caller) for caller in CALLERS} == {"b"}
    fleet.load("a", 0, lasting=0.4, waiting=0, slots=4)
    assert [fleet.first(**caller) for caller in CALLERS] == before


def test_a_server_without_a_free_slot_is_left_at_once() -> None:
    fleet = two_slow_hosts(40.0, 40.0)
    fleet.load("a", 4, lasting=0.5, waiting=1, slots=4)
    assert {fleet.first(**caller) for caller in CALLERS} == {"b"}


def test_the_expected_rate_is_that_next_to_the_requests_of_now() -> None:
    """The score counts those that last: it is for callers who stay."""
    fleet = two_slow_hosts(40.0, 10.0)
    rates = {}
    for running, lasts in ((2, 0.4), (0, 0.4), (2, 2.0)):
        fleet.load("a", running, lasting=lasts, waiting=0, slots=4)
        found = fleet.best().recommendation
        assert found is not None
        rates[running, lasts] = found.expected_output_tps
    assert rates[2, 0.4] == pytest.approx(rates[2, 2.0])
    assert rates[0, 0.4] in (None, pytest.approx(40.0))
    fleet.load("a", 1, lasting=0.4, waiting=0, slots=4)
    (speed,) = [one for one in fleet.explain().recommendations[0].contributions if one.signal == "speed"]
    assert "1 running of 4 slots, 0.4 lasting" in speed.note


def test_measurements_of_two_near_equals_do_not_move_the_answer_for_callers_without_a_name() -> None:
    """Each one changes a score by a little. What is announced as the best is the same model."""
    fleet = two_slow_hosts(40.0, 40.0)
    for tps in (39.0, 41.0, 38.5, 40.5):
        fleet.measure(ModelRef("a", "m:8b"), performance(tps, 2000.0))
        assert fleet.first() == "a"
        best = fleet.answers.winner_status("chat", None).best
        assert best is not None
        assert best[0].endpoint == "a"
    fleet.measure(ModelRef("a", "m:8b"), performance(30.0, 2000.0))
    assert fleet.first() == "b"


@pytest.mark.parametrize(
    "names", [("m:8b", "n:8b", "o:8b"), ("m:8b", "n:8b", "m:8b"), ("m:8b", "m:8b", "m:8b")]
)
@pytest.mark.parametrize(
    "rates", [(40.0, 40.3, 40.6), (40.6, 40.3, 40.0), (40.0, 40.0, 40.0), (40.0, 40.3, 40.3)]
)
def test_best_and_explain_give_the_same_order_of_near_equals(
    names: tuple[str, ...], rates: tuple[float, ...]
) -> None:
    """To a caller without a name, without loads: `explain` computes the shares of callers, `best` need not."""
    fleet = Fleet(())
    for host, name, rate in zip("abc", names, rates, strict=True):
        fleet.add(ModelRef(host, name), performance(rate, 2000.0))
    reply = fleet.best(limit=3)
    assert reply.recommendation is not None
    order = [str(one.model) for one in (reply.recommendation, *reply.fallbacks)]
    assert order == [str(one.model) for one in fleet.explain(limit=3).recommendations]


def test_where_all_slots_are_taken_callers_are_spread_over_all() -> None:
    """A server with many slots is hardly slower by its load: one slot that gets free must not draw all callers."""
    full = Pressed(1.1, 1.0, 0.9)
    assert taking([full, full, full]) == [0, 1, 2]
    assert taking([full, Pressed(1.1, 0.875, 0.2), full]) == [0, 1, 2]
    assert taking([full, Pressed(1.1, 0.5, 0.2), full]) == [1]


def test_a_long_prompt_that_was_no_slower_says_nothing_of_the_time_of_a_token() -> None:
    faster = performance(60.0, 180.0, ttft_long_ms=figure(175.0))
    assert shared(faster).estimate == shared(performance(60.0, 180.0)).estimate


def test_beside_an_idle_equal_a_busy_one_takes_nobody_and_in_a_crowd_it_does() -> None:
    assert taking([Pressed(1.0, 0.0), Pressed(1.4, 1.0)]) == [0]
    assert taking([Pressed(1.0, 0.0), Pressed(1.6, 0.5)]) == [0]
    assert taking([Pressed(1.0, 0.0), Pressed(1.4, 0.5)]) == [0, 1]
    assert taking([Pressed(2.0, 1.0, 0.5), Pressed(4.0, 1.5, 0.9)]) == [0, 1]
    assert taking([Pressed(2.0, 1.0, 0.5), Pressed(9.0, 4.0, 0.9)]) == [0]


def test_a_worse_model_takes_callers_only_where_it_is_better_now() -> None:
    """Two loaded equals and an idle model that is a little worse at rest: its score decides, not the spread."""
    fleet = Fleet(("a", "b"))
    worse = ModelRef("c", "m:8b")
    fleet.add(worse, performance(tps=30.0))
    assert {fleet.first(caller=str(n)) for n in range(20)} == {"a", "b"}
    for host in "ab":
        fleet.load(host, 4, waiting=8, slots=4)
    fleet.load("c", 0, waiting=0, slots=4)
    assert {fleet.first(caller=str(n)) for n in range(20)} == {"c"}


def test_who_asks_is_account_caller_and_session() -> None:
    assert identity(None, None, None) is None
    assert len({identity("a", None, None), identity(None, "a", None), identity(None, None, "a")}) == 3
