"""The score is what docs/scores.md says it is, and orders models as anybody would expect."""

import math
import operator
from collections.abc import Mapping
from datetime import timedelta
from functools import reduce
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from samples import model_info
from vedette.messages.constraints import Constraints
from vedette.messages.queries import Contribution, RecommendRequest, Rejection, Relaxation
from vedette.testing import EPOCH
from vedette.types import (
    Claim,
    Evidence,
    Figure,
    Health,
    ModelRef,
    Performance,
    Price,
    Quality,
    Reported,
    Score,
    Status,
    Tally,
    Thoughts,
)
from vedette.usecases import BUILT_IN, SIGNALS, bounds_with
from vedette.usecases.thinking import THOUGHT_TOKENS
from vedette_recommender import expecting
from vedette_recommender.candidate import Facts
from vedette_recommender.columns import Columns
from vedette_recommender.constants import RISK_LAMBDA, STATUS_MULTIPLIERS, SWITCH_MARGIN_POINTS
from vedette_recommender.explain import Account
from vedette_recommender.field import FilterResult, Place, UseCaseScores, shares
from vedette_recommender.filtering import narrow, rules
from vedette_recommender.improving import improvement
from vedette_recommender.near_misses import distance, nearest, rejections, relaxation
from vedette_recommender.scoring import (
    context_utility,
    falling,
    probed_confidence,
    rising,
    succeeding,
    timed_confidence,
)
from vedette_recommender.standing import Standing

YES = Claim(value=True, evidence=Evidence.DECLARED, source="test")


def figure(value: float, n: int = 6) -> Figure:
    return Figure(n=n, median=value, p95=value, min=value, max=value, spread=0.0)


def model(
    name: str,
    *,
    tps: float | None = None,
    ttft_ms: float | None = None,
    right: int | None = None,
    trials: int = 40,
    probes: dict[str, int] | None = None,
    status: Status = Status.AVAILABLE,
    n: int = 6,
    age_s: float = 0,
    reports: Reported | None = None,
    thoughts: Thoughts | None = None,
    **facts: Any,
) -> Facts:
    measured_at = EPOCH - timedelta(seconds=age_s)
    performance = None
    if tps is not None or ttft_ms is not None:
        performance = Performance(
            measured_at=measured_at,
            n=n,
            output_tps=figure(tps) if tps is not None else None,
            ttft_ms=figure(ttft_ms) if ttft_ms is not None else None,
        )
    quality = None
    if right is not None:
        scores = {"arithmetic": Score(successes=right, trials=trials, suite="arithmetic@1")}
        quality = Quality(measured_at=measured_at, scores=scores, thoughts=thoughts)
    tallies = (Tally(start=EPOCH, counts=probes or {}),)
    health = Health(status=status, since=EPOCH, checked_at=EPOCH, daily=tallies, hourly=tallies)
    described = {"locality": "local", "capabilities": {"chat": YES}} | facts
    return Facts(
        info=model_info(ModelRef("gpu", name), **described),
        health=health,
        performance=performance,
        quality=quality,
        reports=reports,
    )


def field(*models: Facts, use_case: str = "chat") -> tuple[UseCaseScores, Columns]:
    columns = Columns()
    for one in models:
        columns.put(one)
    expecting.settle(columns)
    made = UseCaseScores(BUILT_IN[use_case], columns, Standing(columns, 5400))
    made.refresh(EPOCH.timestamp())
    return made, columns


class Ranked(Struct):
    facts: Facts
    place: Place
    account: Account

    @property
    def parts(self) -> dict[str, Contribution]:
        return {part.signal: part for part in self.account.contributions()}

    @property
    def score(self) -> float:
        return self.place.score

    @property
    def multipliers(self) -> dict[str, float]:
        return self.place.multipliers


def ranked(*models: Facts, use_case: str = "chat", **options: Any) -> list[Ranked]:
    made, columns = field(*models, use_case=use_case)
    terms = msgspec.structs.replace(made.default, **options)
    found = made.best(FilterResult(columns.present, len(columns), {}), terms, len(models))
    accounts = Account.of(made, columns, [one.row for one in found], terms)
    return [Ranked(account.facts, one, account) for one, account in zip(found, accounts, strict=True)]


def one_by_one(parts: Mapping[str, Contribution]) -> float:
    """Return the points of all *parts*, added one after the other; from Python 3.12 on, `sum` rounds only once."""
    return reduce(operator.add, (part.points for part in parts.values()))


def names(found: list[Ranked]) -> list[str]:
    return [one.facts.model.name for one in found]


def test_utilities_have_their_fixed_points() -> None:
    """Nothing is worth nothing, the half earns one half, and one failure in ten costs half the reliability."""
    assert (rising(0, 20), rising(20, 20)) == (0, 0.5)
    assert (falling(0, 1000), falling(1000, 1000)) == (1, 0.5)
    assert succeeding(0.9) == pytest.approx(0.5)
    assert succeeding(1.0) == 1.0
    assert context_utility(1024, 32_768) == 0
    assert context_utility(32_768, 32_768) == 1
    assert context_utility(131_072, 32_768) == 1
    assert context_utility(8192, 32_768) == pytest.approx(3 / 5)
    assert context_utility(2048, 512) == 1


def test_confidence_is_of_the_variance_that_was_seen() -> None:
    """Six runs within 5 % are sure; runs that differ by half are not, and neither are old ones."""
    assert timed_confidence(6, 0.05, 0) > 0.99
    assert timed_confidence(6, 0.05, 0) > timed_confidence(6, 0.5, 0) > timed_confidence(2, 0.5, 0)
    assert timed_confidence(6, 0.05, 30 * 86_400) < 0.85
    assert probed_confidence(20, 0) == 0.5
    assert probed_confidence(0, 0) == 0.0


@given(
    tps=st.none() | st.floats(0.1, 1000),
    ttft=st.none() | st.floats(1, 60_000),
    right=st.none() | st.integers(0, 40),
    ok=st.integers(0, 300),
    bad=st.integers(0, 300),
    context=st.none() | st.integers(1, 10**7),
    use_case=st.sampled_from(sorted(BUILT_IN)),
)
def test_contributions_add_up_exactly(
    tps: float | None,
    ttft: float | None,
    right: int | None,
    ok: int,
    bad: int,
    context: int | None,
    use_case: str,
) -> None:
    """The raw score is the sum of its parts to the last bit, and lies between 0 and 100."""
    one = model(
        "m",
        tps=tps,
        ttft_ms=ttft,
        right=right,
        probes={"ok": ok, "timeout": bad},
        native_context_tokens=context,
    )
    scored, *_ = ranked(one, *(model(f"peer{i}", tps=10.0 + i, right=i) for i in range(4)), use_case=use_case)
    assert scored.place.raw == one_by_one(scored.parts)
    assert 0 <= scored.score <= scored.place.raw <= 100.000001
    assert 0 <= scored.place.sure <= 1
    assert list(scored.parts) == list(SIGNALS)


SPEEDS = st.floats(0.5, 500)


@given(low=SPEEDS, by=st.floats(0.1, 500), other=SPEEDS)
def test_a_faster_model_never_ranks_lower(low: float, by: float, other: float) -> None:
    """Raising one signal never lowers a model's place."""

    def place(tps: float) -> int:
        one = model("a", tps=tps, ttft_ms=500, right=20, probes={"ok": 40})
        two = model("b", tps=other, ttft_ms=500, right=20, probes={"ok": 40})
        return names(ranked(one, two)).index("a")

    assert place(low + by) <= place(low)


@given(right=st.integers(0, 39), other=st.integers(0, 40))
def test_a_better_model_never_ranks_lower(right: int, other: int) -> None:
    """The same for quality."""

    def place(successes: int) -> int:
        one = model("a", tps=30, right=successes)
        return names(ranked(one, model("b", tps=30, right=other))).index("a")

    assert place(right + 1) <= place(right)


@given(order=st.permutations(range(6)))
def test_the_order_of_models_changes_nothing(order: list[int]) -> None:
    """A ranking is of a set."""
    models = [
        model(f"m{i}", tps=10.0 * i or None, right=5 * i, probes={"ok": i}, parameters=10**9 * i)
        for i in range(6)
    ]
    expected = [(s.facts.model.name, s.score) for s in ranked(*models)]
    assert [(s.facts.model.name, s.score) for s in ranked(*(models[i] for i in order))] == expected


@given(tps=st.floats(40, 1000), ttft=st.floats(1, 400), right=st.integers(30, 40))
@pytest.mark.parametrize("risk", ["conservative", "neutral"])
def test_unknown_never_beats_the_same_model_measured_good(
    risk: str, tps: float, ttft: float, right: int
) -> None:
    """Nothing is gained by not having been looked at."""
    known = model("known", tps=tps, ttft_ms=ttft, right=right, probes={"ok": 300}, parameters=10**9)
    unknown = model("unknown", parameters=10**9)
    assert names(ranked(unknown, known, risk=risk))[0] == "known"


@given(tps=SPEEDS)
def test_an_unrelated_model_changes_no_order(tps: float) -> None:
    """Two models keep their order whatever a third is like, while peers do not come into it."""
    one, two = model("one", tps=50, right=30, probes={}), model("two", tps=20, right=30, probes={})
    without = names(ranked(one, two))
    assert [name for name in names(ranked(one, two, model("third", tps=tps))) if name != "third"] == without


def test_status_takes_its_share_and_says_so() -> None:
    """A degraded model loses 15 % in the open."""
    fine, poor = ranked(model("a", tps=50), model("b", tps=50, status=Status.DEGRADED))
    assert poor.multipliers["degraded"] == STATUS_MULTIPLIERS[Status.DEGRADED] == 0.85
    assert poor.score == pytest.approx(fine.score * 0.85)
    assert "available" not in fine.multipliers


def test_exploring_rewards_the_unknown_by_a_tenth_at_most() -> None:
    """Explore's bonus is shown among the multipliers."""
    (one,) = ranked(model("a"), risk="explore")
    assert 1.0 < one.multipliers["risk"] <= 1.1


def test_within_the_error_band_models_are_equal() -> None:
    """A tenth of a point is no difference; a large one is."""
    best, near, far = ranked(
        model("a", tps=50.0, right=30),
        model("b", tps=50.1, right=30),
        model("c", tps=5.0, right=2),
    )
    assert [one.place.equivalent for one in (best, near, far)] == [False, True, False]


def test_ties_go_to_the_smaller_model_then_the_name() -> None:
    """With the same score and confidence, fewer parameters win; these are so many that all priors are capped."""
    one, two, three = (
        model(n, tps=50, right=30, parameters=p * 10**15) for n, p in (("c", 2), ("b", 1), ("a", 2))
    )
    assert names(ranked(one, two, three)) == ["b", "a", "c"]


# --- What would change the answer ------------------------------------------------------------------------------

TRIALS = 4_000_000
WEIGHED = st.fixed_dictionaries({signal: st.floats(0, 1) for signal in SIGNALS}).filter(
    lambda weights: sum(weights.values()) > 0.1
)


@given(
    weights=WEIGHED,
    best=st.tuples(st.floats(30, 200), st.floats(20, 900), st.integers(20, 40), st.integers(8192, 65_536)),
    second=st.tuples(st.floats(1, 100), st.floats(100, 5000), st.integers(0, 30), st.integers(1024, 16_384)),
    status=st.sampled_from([Status.AVAILABLE, Status.DEGRADED]),
)
def test_the_improvement_told_is_enough_and_no_more(
    weights: dict[str, float], best: tuple[Any, ...], second: tuple[Any, ...], status: Status
) -> None:
    """With it the runner-up comes first; with a little less it does not."""

    def contest(tps: float, ttft: float, right: float, context: float, price: float, status: Status) -> Any:
        one = model("best", tps=best[0], ttft_ms=best[1], right=best[2], native_context_tokens=best[3])
        price_of = Price(input_usd_per_mtok=price, output_usd_per_mtok=price, source="test")
        two = model(
            "second",
            tps=tps,
            ttft_ms=ttft,
            right=round(right * TRIALS),
            trials=TRIALS,
            native_context_tokens=int(context),
            price=price_of,
            status=status,
        )
        return ranked(one, two, shares=shares(weights))

    now = {
        "speed": second[0],
        "ttft": second[1],
        "quality": second[2] / 40,
        "context": second[3],
        "price": 3.0,
    }

    def order(**change: float) -> list[str]:
        said = now | change
        at = Status.AVAILABLE if change.get("status") else status
        return names(
            contest(said["speed"], said["ttft"], said["quality"], said["context"], said["price"], at)
        )

    first, runner_up = contest(*now.values(), status)
    if first.facts.model.name != "best":
        return
    told = improvement(runner_up.account, runner_up.place, first.score)
    if told is None or told.signal == "reliability":
        return
    if told.signal == "status":
        assert order(status=1) == ["second", "best"]
        return
    assert isinstance(told.to, float)
    assert told.raw == pytest.approx(now[told.signal])
    # Other answers also change what is expected of everybody, by a step at most.
    step = 0.02 if told.signal == "quality" else 0.0
    if told.to + step > 1.0:
        return
    beyond = told.to + 1e-4 * (told.to - told.raw) + step
    assert order(**{told.signal: beyond})[0] == "second"
    if told.signal != "context" and (
        told.by is None or told.by > 1e-6
    ):  # nor a tie, which is lost by name alone
        short = told.to - step if step else told.to - 0.01 * (told.to - told.raw)
        assert order(**{told.signal: short})[0] == "best"


# --- Callers' reports ------------------------------------------------------------------------------------------


def told(n: float, ok: float = 1.0, ttft_ms: float = 100.0, tps: float = 50.0) -> Reported:
    return Reported(
        as_of=EPOCH,
        calls=n,
        succeeded=n * ok,
        ttft_n=n,
        ttft_log_sum=n * math.log(ttft_ms),
        output_tps_n=n,
        output_tps_log_sum=n * math.log(tps),
    )


def test_reports_count_beside_our_own_measurements_and_say_so() -> None:
    """Half of what we measured at most; they add to no confidence, and without ours they are shown as what they are."""
    (one,) = ranked(model("m", tps=100, ttft_ms=100, probes={"ok": 40}, reports=told(1e6, 0.0, 60_000, 0.1)))
    (ours,) = ranked(model("m", tps=100, ttft_ms=100, probes={"ok": 40}))
    assert (one.parts["speed"].raw, one.parts["speed"].kind) == (100, "measured")
    assert "callers' reports count for 3.0 samples" in one.parts["speed"].note
    assert one.parts["reliability"].raw == ours.parts["reliability"].raw
    assert [part.confidence for part in one.parts.values()] == [p.confidence for p in ours.parts.values()]
    for signal in ("speed", "ttft", "reliability"):
        part = one.parts[signal]
        assert part.points < ours.parts[signal].points
        assert part.points - part.reported_points == pytest.approx(ours.parts[signal].points)
    assert all(one.parts[signal].reported_points == 0 for signal in ("quality", "price", "context"))
    (alone,) = ranked(model("m", reports=told(1e6)))
    assert alone.parts["speed"].kind == alone.parts["ttft"].kind == "reported"
    assert alone.parts["speed"].raw == pytest.approx(50)
    assert alone.parts["speed"].confidence == 0
    assert alone.parts["speed"].reported_points > 0


CALLS = st.floats(0, 1e9)
REPORTED = st.builds(
    told,
    n=CALLS,
    ok=st.floats(0, 1),
    ttft_ms=st.floats(1, 600_000),
    tps=st.floats(0.01, 10_000),
)
MEASURED = st.fixed_dictionaries(
    {
        "tps": st.none() | st.floats(0.1, 1000),
        "ttft_ms": st.none() | st.floats(1, 60_000),
        "right": st.none() | st.integers(0, 40),
        "probes": st.none()
        | st.fixed_dictionaries({"ok": st.integers(0, 300), "timeout": st.integers(0, 300)}),
        "status": st.sampled_from(Status),
        "age_s": st.floats(0, 1e6),
        "n": st.integers(1, 100),
    }
)


@given(
    measured=st.lists(MEASURED, min_size=2, max_size=5),
    reports=REPORTED,
    use_case=st.sampled_from(sorted(BUILT_IN)),
    weights=st.none() | WEIGHED,
    risk=st.sampled_from(list(RISK_LAMBDA)),
)
@pytest.mark.fault(
    "callers report whatever they like, as often as they like",
    "I13",
    without=("vedette_recommender.scoring:MAX_REPORTED_POINTS", 100.0),
)
def test_reports_alone_move_no_score_by_more_than_half_the_switch_margin(
    measured: list[dict[str, Any]],
    reports: Reported,
    use_case: str,
    weights: dict[str, float] | None,
    risk: Any,
) -> None:
    """In either direction, whatever is measured, asked and weighed; and of no other model at all."""
    options: dict[str, Any] = {"risk": risk} | ({"shares": shares(weights)} if weights else {})

    def scored(reports: Reported | None) -> dict[str, Ranked]:
        models = [
            model(f"m{number}", reports=reports if number == 0 else None, **one)
            for number, one in enumerate(measured)
        ]
        return {one.facts.model.name: one for one in ranked(*models, use_case=use_case, **options)}

    without, moved = scored(None), scored(reports)
    assert abs(moved["m0"].score - without["m0"].score) <= SWITCH_MARGIN_POINTS / 2 + 1e-9
    assert moved["m0"].place.raw == one_by_one(moved["m0"].parts)
    reported = math.fsum(part.reported_points for part in moved["m0"].parts.values())
    assert moved["m0"].place.raw - reported == pytest.approx(without["m0"].place.raw)
    assert moved["m0"].place.sure == without["m0"].place.sure
    for name in moved.keys() - {"m0"}:
        assert moved[name].score == without[name].score


@given(
    reports=REPORTED,
    limits=st.sampled_from([{}, {"min_output_tps": 20.0}, {"max_ttft_ms": 500.0}, {"min_uptime_24h": 0.9}]),
)
def test_reports_make_no_candidate_and_unmake_none(reports: Reported, limits: dict[str, float]) -> None:
    """Who is a candidate is for our own measurements to say."""
    request = RecommendRequest(use_case="chat", constraints=Constraints(**limits))  # type: ignore[arg-type]
    models = [
        {"tps": 50.0, "ttft_ms": 100.0, "probes": {"ok": 40}},
        {"tps": 50.0, "ttft_ms": 100.0, "probes": {"ok": 40}, "status": Status.UNREACHABLE},
        {},
    ]

    def candidates(reports: Reported | None) -> list[bool]:
        made, columns = field(*(model(f"m{n}", reports=reports, **one) for n, one in enumerate(models)))
        found: list[bool] = narrow(made, columns, request).candidates.tolist()
        return found

    assert candidates(reports) == candidates(None)


@given(reports=REPORTED, use_case=st.sampled_from(["chat", "fast"]))
def test_reports_that_come_later_count_as_those_that_were_there(reports: Reported, use_case: str) -> None:
    """A row that is worked out again comes to what it comes to among all, and so it does when reports are gone."""
    peers = [model(f"p{n}", tps=10.0 * n, ttft_ms=100.0 * n, probes={"ok": 40}) for n in range(1, 5)]
    before, after = model("m", tps=50.0), model("m", tps=50.0, reports=reports)
    made, columns = field(before, *peers, use_case=use_case)
    for facts in (after, before, after):
        made.touch({columns.put(facts)} | expecting.settle(columns))
        made.refresh(EPOCH.timestamp())
        fresh, others = field(facts, *peers, use_case=use_case)
        expected = fresh.scores(slice(None), fresh.default).score
        assert others.rows == columns.rows
        assert made.scores(slice(None), made.default).score.tolist() == expected.tolist()


@pytest.mark.parametrize("calls", [2.0, 1e6])  # within the limit, and held back by it
def test_the_improvement_told_is_enough_beside_reports(calls: float) -> None:
    """What we would have to measure, with what callers report as it is."""

    def contest(tps: float) -> list[Ranked]:
        best = model("best", tps=60, ttft_ms=100, probes={"ok": 300})
        reports = told(calls, 1.0, 100.0, 20.0)
        second = model("second", tps=tps, ttft_ms=100, probes={"ok": 300}, reports=reports)
        return ranked(best, second, use_case="fast", shares=shares({"speed": 1.0}))

    first, second = contest(40.0)
    change = improvement(second.account, second.place, first.score)
    assert change is not None
    assert (change.model.name, change.signal) == ("second", "speed")
    assert isinstance(change.to, float)
    assert names(contest(change.to * 1.0001)) == ["second", "best"]
    assert names(contest(40.0 + 0.95 * (change.to - 40.0))) == ["best", "second"]


def test_reports_fade_within_days() -> None:
    """What was said a week ago is forgotten, and what a few said moves little."""
    old = msgspec.structs.replace(told(1e3, 0.0), as_of=EPOCH - timedelta(days=20))
    (faded,), (never,) = ranked(model("m", tps=9, reports=old)), ranked(model("m", tps=9))
    assert faded.score == pytest.approx(never.score, abs=0.01)


# --- Filtering -------------------------------------------------------------------------------------------------

LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "min_context_tokens": st.integers(1, 200_000),
        "max_ttft_ms": st.floats(1, 5000),
        "min_output_tps": st.floats(0.1, 200),
        "max_price_usd_per_mtok": st.floats(0, 20),
        "min_parameters": st.integers(0, 10**11),
        "max_parameters": st.integers(0, 10**11),
        "locality": st.sampled_from(["local", "remote"]),
        "families": st.just(("llama",)),
        "unmeasured": st.sampled_from(["keep", "reject"]),
        "exclude": st.just(("m",)),
    },
)


@given(
    limits=LIMITS,
    tps=st.none() | st.floats(0.1, 300),
    ttft=st.none() | st.floats(1, 9000),
    context=st.none() | st.integers(1, 300_000),
    parameters=st.none() | st.integers(0, 10**11),
    price=st.none() | st.floats(0, 30),
    locality=st.sampled_from(["local", "remote", "unknown"]),
    family=st.sampled_from([None, "llama", "Llama", "qwen2"]),
    name=st.sampled_from(["m", "n"]),
)
def test_every_limit_is_kept(
    limits: dict[str, Any],
    tps: float | None,
    ttft: float | None,
    context: int | None,
    parameters: int | None,
    price: float | None,
    locality: str,
    family: str | None,
    name: str,
) -> None:
    """A candidate satisfies everything that was asked; what is not known passes only where it may."""
    one = model(
        name,
        tps=tps,
        ttft_ms=ttft,
        native_context_tokens=context,
        parameters=parameters,
        locality=locality,
        family=family,
        price=Price(input_usd_per_mtok=price, output_usd_per_mtok=price, source="test")
        if price is not None
        else None,
    )
    need = Constraints(**limits)
    made, columns = field(one)
    if not narrow(made, columns, RecommendRequest(use_case="chat", constraints=need)).left:
        return

    def kept(value: float | None, low: float | None, high: float | None) -> bool:
        if value is None:
            return (low is None and high is None) or need.unmeasured == "keep"
        return (low is None or value >= low) and (high is None or value <= high)

    assert kept(context, need.min_context_tokens, None)
    assert kept(ttft, None, need.max_ttft_ms)
    assert kept(tps, need.min_output_tps, None)
    assert kept(parameters, need.min_parameters, need.max_parameters)
    free = 0.0 if locality == "local" else None
    assert kept(price if price is not None else free, None, need.max_price_usd_per_mtok)
    assert need.locality in (None, locality)
    assert need.families is None or (family or "").lower() == "llama"
    assert name not in need.exclude


@pytest.mark.parametrize(
    ("limits", "code", "constraint", "to"),
    [
        ({"max_ttft_ms": 100.0}, "ttft", "constraints.max_ttft_ms", 500.0),
        ({"min_output_tps": 90.0}, "output_tps", "constraints.min_output_tps", 40.0),
        ({"min_context_tokens": 9000}, "context", "constraints.min_context_tokens", 8192),
        ({"locality": "remote"}, "locality", "constraints.locality", "local"),
        ({"max_parameters": 10}, "parameters", "constraints.max_parameters", 1000),
        ({"min_parameters": 2000}, "parameters", "constraints.min_parameters", 1000),
        ({"licenses": ("mit",)}, "license_unknown", "constraints.licenses", None),
        ({"min_uptime_24h": 0.9, "unmeasured": "reject"}, "uptime_unknown", "constraints.unmeasured", "keep"),
        ({"evidence": Evidence.VERIFIED}, "evidence", "constraints.evidence", Evidence.DECLARED),
        ({"statuses": (Status.BUSY,)}, "status", "constraints.statuses", Status.AVAILABLE),
    ],
)
def test_the_constraint_in_the_way_is_named(
    limits: dict[str, Any], code: str, constraint: str, to: object
) -> None:
    """Each rejection has its code, and leads to the field whose relaxation admits the model."""
    one = model("m", tps=40.0, ttft_ms=500.0, native_context_tokens=8192, parameters=1000)
    (reason,), relax = turned_away(one, constraints=Constraints(**limits))
    assert reason.code == code
    assert (relax.constraint, relax.to, relax.also) == (constraint, to, ())


def turned_away(*models: Facts, **request: Any) -> tuple[list[Rejection], Relaxation]:
    """Return the reasons against the nearest of *models*, and what would admit it."""
    made, columns = field(*models)
    asked = rules(made, columns, RecommendRequest(use_case="chat", **request))
    (row,) = nearest(columns.present, distance(asked, columns.room), columns, 1)
    relax = relaxation(asked, row, columns, 0.0)
    assert relax is not None
    return list(rejections(asked, [row], columns)), relax


def test_the_nearest_model_is_the_one_to_relax_for() -> None:
    """Fewest constraints first, then the smallest distance."""
    need = Constraints(min_output_tps=50.0, max_ttft_ms=100.0)
    far, near, both = (
        model("far", tps=5.0, ttft_ms=50.0),
        model("near", tps=45.0, ttft_ms=50.0),
        model("both", tps=49.0, ttft_ms=101.0),
    )
    _, relax = turned_away(far, both, near, constraints=need)
    assert (relax.model.name, relax.constraint, relax.to) == ("near", "constraints.min_output_tps", 45.0)
    _, relax = turned_away(both, constraints=need)
    assert relax.also == ("constraints.min_output_tps",)


def test_of_those_equally_near_the_name_decides() -> None:
    """And not in which order they came."""
    twins = [model(name, tps=5.0) for name in "cabd"]
    for order in (twins, twins[::-1]):
        assert turned_away(*order, constraints=Constraints(min_output_tps=50.0))[1].model.name == "a"


def test_a_capability_must_be_known_and_sure_enough() -> None:
    """Unknown is not yes, no is not unknown, and weak evidence is its own reason."""
    claims = {
        "chat": YES,
        "tools": msgspec.structs.replace(YES, evidence=Evidence.INFERRED),
        "vision": msgspec.structs.replace(YES, value=False),
    }
    one = model("m", capabilities=claims)

    def codes(*capabilities: str, evidence: str = "inferred") -> list[str]:
        request = msgspec.convert(
            {"use_case": "chat", "capabilities": capabilities, "constraints": {"evidence": evidence}},
            RecommendRequest,
        )
        made, columns = field(one)
        return list(narrow(made, columns, request).rejected)

    assert codes("tools") == []
    assert codes("tools", evidence="declared") == ["evidence"]
    assert codes("vision") == ["capability"]
    assert codes("audio") == ["capability_unknown"]


def test_an_unknown_capability_may_do_where_none_is_known() -> None:
    """Whether a model chats at all is never taken on trust, and what is known not to be there is not there."""

    def able(name: str, **claims: Claim) -> Facts:
        return model(name, capabilities=claims)

    no = msgspec.structs.replace(YES, value=False)
    may, lacks, untold, knows = (
        able("may", chat=YES),
        able("lacks", chat=YES, tools=no),
        able("untold"),
        able("knows", chat=YES, tools=YES),
    )

    def left(*models: Facts, keep: str = "keep") -> tuple[list[str], tuple[str, ...]]:
        made, columns = field(*models, use_case="agent")
        need = msgspec.convert({"unknown_capabilities": keep}, Constraints)
        found = narrow(made, columns, RecommendRequest(use_case="agent", constraints=need))
        rows = found.candidates.nonzero()[0].tolist()
        return [facts.model.name for row in rows if (facts := columns.facts[row])], found.unknown

    assert left(may, lacks, untold) == (["may"], ("tools",))
    assert left(may, lacks, untold, knows) == (["knows"], ())
    assert left(may, lacks, untold, keep="reject") == ([], ())


def test_every_use_case_of_the_design_is_there_with_weights_that_add_up() -> None:
    """Eleven use cases; each weighs its signals to one."""
    assert len(BUILT_IN) == 11
    for use_case in BUILT_IN.values():
        assert math.isclose(sum(use_case.weights.values()), 1.0)


def test_age_lowers_confidence_not_the_measurement() -> None:
    """An old speed counts for less, and moves towards what is to be expected."""
    fresh, old = model("fresh", tps=100), model("old", tps=100, age_s=60 * 86_400)
    speeds = {one.facts.model.name: one.parts["speed"] for one in ranked(fresh, old)}
    assert speeds["old"].raw == speeds["fresh"].raw == 100
    assert speeds["old"].confidence < 0.75 * speeds["fresh"].confidence


def test_answers_do_not_age() -> None:
    """The same weights are as good as they were; new ones make what was known of the old ones vanish elsewhere."""
    fresh, old = model("fresh", right=30), model("old", right=30, age_s=300 * 86_400)
    parts = {one.facts.model.name: one.parts["quality"] for one in ranked(fresh, old)}
    assert parts["old"].utility == parts["fresh"].utility


# --- Bounds ----------------------------------------------------------------------------------------------------


def test_a_bound_divides_by_how_far_beyond_it_is() -> None:
    """A model that takes ten times as long as anybody waits has a tenth of its score, and says so."""
    (quick,), (slow,) = ranked(model("m", tps=50, ttft_ms=100)), ranked(model("m", tps=0.35, ttft_ms=100))
    assert "answer_s" not in quick.multipliers
    took = 0.1 + BUILT_IN["chat"].tokens[1] / 0.35
    assert slow.multipliers["answer_s"] == pytest.approx(90.0 / took)
    assert slow.score == pytest.approx(slow.place.raw * 90.0 / took)


def test_nothing_buys_back_a_bound() -> None:
    """The best answers after ten minutes, and an answer for dollars, lose to a fair model."""
    fair = {"tps": 40, "ttft_ms": 300, "right": 28, "probes": {"ok": 300}}
    dear = Price(input_usd_per_mtok=900, output_usd_per_mtok=1750, source="test")
    for better in (
        {"tps": 0.05, "ttft_ms": 600_000, "right": 40, "probes": {"ok": 300}},
        {"tps": 90, "ttft_ms": 100, "right": 40, "probes": {"ok": 300}, "price": dear},
    ):
        for use_case in ("chat", "code_generation", "reasoning"):
            assert names(ranked(model("fair", **fair), model("best", **better), use_case=use_case)) == [
                "fair",
                "best",
            ]


def test_a_bound_is_lifted_and_moved() -> None:
    """By the request; 0 lifts one, and where everybody is beyond one, somebody is still recommended."""
    slow = model("m", tps=1.0, ttft_ms=100)
    bounds = BUILT_IN["chat"].bounds
    (usual,), (lifted,), (moved,) = (
        ranked(slow, bounds=bounds_with(bounds, own)) for own in ({}, {"answer_s": 0.0}, {"answer_s": 30.0})
    )
    assert moved.score < usual.score < lifted.score == lifted.place.raw


def test_a_context_that_holds_half_of_a_typical_call_leaves_half_of_the_score() -> None:
    """An unknown context, and a sufficient one, take nothing off; what a server was seen to serve counts."""
    call = sum(BUILT_IN["summarisation"].tokens)
    (half,), (whole,), (unknown,) = (
        ranked(
            model("m", capabilities={"chat": YES, "summarisation": YES}, **context), use_case="summarisation"
        )
        for context in (
            {"native_context_tokens": 131_072, "served_context_tokens": call // 2},
            {"served_context_tokens": call},
            {},
        )
    )
    assert half.multipliers["context_tokens"] == pytest.approx(0.5)
    assert "context_tokens" not in whole.multipliers | unknown.multipliers


def test_thoughts_take_time_before_an_answer() -> None:
    able = {"chat": YES, "thinking": YES}
    (plain,), (thinks,) = (
        ranked(model("m", tps=10, ttft_ms=100, **facts), use_case="fast")
        for facts in ({}, {"capabilities": able})
    )
    assert "answer_s" not in plain.multipliers
    assert thinks.multipliers["answer_s"] == pytest.approx(15.0 / (0.1 + (100 + THOUGHT_TOKENS) / 10))


def test_thoughts_are_waited_for_as_long_as_they_were_when_counted() -> None:
    """A model that thinks for as long as it answers needs twice the speed for the same worth; `explain` says so."""
    answer = BUILT_IN["chat"].tokens[1]
    (plain,) = ranked(model("m", tps=20, ttft_ms=100, right=30))
    thoughts = Thoughts(answers=1_000_000, tokens=1_000_000 * answer)
    (thinks,) = ranked(model("m", tps=40, ttft_ms=100, right=30, thoughts=thoughts))
    assert plain.parts["speed"].utility == pytest.approx(thinks.parts["speed"].utility, abs=0.001)
    assert thinks.parts["speed"].raw == 40
    assert thinks.parts["speed"].note == f"it thinks for {answer} tokens before an answer"


def test_thoughts_that_are_expected_are_called_so() -> None:
    able = {"chat": YES, "thinking": YES}
    (thinks,) = ranked(model("m", tps=10, capabilities=able))
    assert thinks.parts["speed"].note == "it is expected to think for 420 tokens before an answer"


def test_far_below_the_best_quality_is_beyond_a_bound() -> None:
    """A model with no right answer does not win by its speed beside one that is right, whatever it costs."""
    wrong = model("wrong", tps=400, ttft_ms=20, right=0, probes={"ok": 300}, parameters=135_000_000)
    right = model("right", tps=9, ttft_ms=3000, right=36, probes={"ok": 300}, parameters=14_000_000_000)
    first, second = ranked(wrong, right)
    assert first.facts.model.name == "right"
    assert second.multipliers["quality"] < 0.6


# --- Ends ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("locality", "name", "told", "out"),
    [
        ("remote", "claude-3-opus-20240229", None, False),  # published, but its service still lists it
        ("local", "claude-3-opus-20240229", None, False),  # whoever has the weights has them
        ("remote", "claude-3-opus-20240229", timedelta(days=1), False),  # the service knows better
        ("remote", "whatever", -timedelta(days=1), True),
        ("remote", "whatever", None, False),
    ],
)
def test_a_model_that_its_service_ended_is_no_candidate(
    locality: str, name: str, told: timedelta | None, out: bool
) -> None:
    """By what the service says: what is published is often the earliest possible date."""
    now = EPOCH.replace(year=2026, month=11)
    one = model(name, locality=locality, retires_at=now + told if told is not None else None)
    columns = Columns()
    columns.put(one)
    made = UseCaseScores(BUILT_IN["chat"], columns, Standing(columns, 1e9))
    made.refresh(now.timestamp())
    assert ("retired" in narrow(made, columns, RecommendRequest(use_case="chat")).rejected) == out
