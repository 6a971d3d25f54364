"""What callers report: counted within limits, added up, folded into what is reported of a model."""

import math
import random
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from vedette.messages.queries import ReportRequest
from vedette.messages.tolerance import FUTURE
from vedette.testing import EPOCH
from vedette.types import ModelRef, Outcome, Reported
from vedette_recommender import reports
from vedette_recommender.changes import Deviations
from vedette_recommender.reports import CALLERS_OWN, Reports, Sums, fold, output_tps_of, sums_of

MODEL = ModelRef("box", "m")
DAY = timedelta(days=1)
callers = st.sampled_from([None, *"abcdefghi"])
askers = st.sampled_from([None, *"ABCDEFGHI"])  # ten, whose limits together are that of the model


def report(outcome: Outcome = Outcome.OK, **told: Any) -> ReportRequest:
    return ReportRequest(model=MODEL, outcome=outcome, **told)


reported = st.builds(
    report,
    st.sampled_from(Outcome),
    caller=callers,
    use_case=st.sampled_from([None, "chat"]),
    ttft_ms=st.none() | st.floats(0.001, 86_400_000),
    e2e_ms=st.none() | st.floats(0.001, 86_400_000),
    output_tokens=st.none() | st.integers(1, 2**24),
)


def taken(told: list[ReportRequest], asker: str | None = None) -> Sums:
    """Return what a window of these, all by *asker*, comes to."""
    return taken_of([(asker, one) for one in told])


def taken_of(told: list[tuple[str | None, ReportRequest]]) -> Sums:
    """Return what a window of these, each with its asker, comes to."""
    window = Reports()
    for asker, one in told:
        window.add(MODEL, one, "d", EPOCH, asker)
    return window.take()[MODEL]


def flat(accounts: Mapping[str, Deviations]) -> dict[tuple[str, str, str], float]:
    return {
        (account, signal, name): value
        for account, heard in accounts.items()
        for signal, said in heard.items()
        for name, value in (("n", said.n), ("total", said.total))
    }


def same(one: Struct, other: Struct) -> None:
    """Fail unless both are equal but for what floats lose in adding."""
    for name in one.__struct_fields__:
        left, right = getattr(one, name), getattr(other, name)
        if name == "accounts":
            left, right = flat(left), flat(right)
        assert left == (pytest.approx(right) if isinstance(right, float | dict) else right), name


told_by = st.lists(st.tuples(askers, reported), min_size=1, max_size=300)


@given(told_by, st.randoms(use_true_random=False))
def test_in_which_order_accounts_report_does_not_matter(
    told: list[tuple[str | None, ReportRequest]], rng: random.Random
) -> None:
    """Each account's own order decides which of its reports count; how accounts alternate does not."""
    turns = [asker for asker, _ in told]
    rng.shuffle(turns)
    own = {asker: iter([one for by, one in told if by == asker]) for asker in turns}
    same(taken_of([(asker, next(own[asker])) for asker in turns]), taken_of(told))


@given(told_by)
def test_everything_reported_is_counted_or_said_not_to_be(
    told: list[tuple[str | None, ReportRequest]],
) -> None:
    """Calls, failures and callers are those of the first reports of each account; the rest is `uncounted`."""
    window, seen = Reports(), Counter[str | None]()
    counted: list[tuple[str | None, ReportRequest]] = []
    for asker, one in told:
        seen[asker] += 1
        refusal = window.add(MODEL, one, "d", EPOCH, asker)
        assert (refusal is None) == (seen[asker] <= reports.MAX_PER_ASKER)
        counted += [(asker, one)] if refusal is None else []
    sums = window.take()[MODEL]
    outcomes = [one.outcome for _, one in counted]
    assert sums.uncounted == len(told) - len(counted)
    assert sums.calls == sum(outcome not in CALLERS_OWN for outcome in outcomes)
    assert sums.succeeded == outcomes.count(Outcome.OK)
    assert sums.failures == Counter(outcome for outcome in outcomes if outcome is not Outcome.OK)
    assert sums.callers == len({(asker, one.caller) for asker, one in counted})
    assert window.take() == {}


@given(reported)
def test_no_report_gets_past_the_limits_of_what_is_sane(one: ReportRequest) -> None:
    """Whatever was measured, by whatever clock; what failed has no latency."""
    sums = sums_of(one, "d", EPOCH)
    if sums.ttft_ms is not None:
        assert sums.ttft_ms * 1.000001 >= 1.0
        assert sums.ttft_ms <= 600_001
    if sums.output_tps is not None:
        assert 0.00999 <= sums.output_tps <= 10_001
    if one.outcome is not Outcome.OK:
        assert (sums.ttft_n, sums.output_tps_n, sums.succeeded) == (0, 0, 0)


def test_an_account_with_a_hundred_thousand_reports_moves_what_twenty_move() -> None:
    """And the other's report counts as if nothing had happened."""
    flood, other = report(Outcome.SERVER_ERROR), report(ttft_ms=100.0)
    window = Reports()
    for _ in range(100_000):
        window.add(MODEL, flood, "d", EPOCH, "flood")
    assert window.add(MODEL, other, "d", EPOCH, "other") is None
    sums = window.take()[MODEL]
    expected = taken_of([("flood", flood)] * reports.MAX_PER_ASKER + [("other", other)])
    same(msgspec.structs.replace(sums, uncounted=0), expected)
    assert sums.uncounted == 100_000 - reports.MAX_PER_ASKER


@pytest.mark.parametrize("asker", [None, "agent-a"])
@pytest.mark.fault(
    "an agent reports under a thousand invented names",
    "I13",
    without=("vedette_recommender.reports:MAX_PER_ASKER", 200),
)
def test_invented_names_move_no_more_than_one_name(asker: str | None) -> None:
    """A name is text that its caller writes: it raises no limit, whether a server says who asks or not."""
    invented = taken([report(caller=str(n)) for n in range(1000)], asker)
    assert (invented.calls, invented.callers, invented.uncounted) == (20, 20, 980)
    assert taken([report(caller="me")] * 1000, asker).calls == invented.calls


def test_a_thousand_accounts_move_no_more_than_a_model_may_be_moved() -> None:
    """The limit of the model holds over all of them."""
    sums = taken_of([(str(n), report()) for n in range(1000)])
    assert (sums.calls, sums.callers, sums.uncounted) == (200, 200, 800)


@pytest.mark.fault("reports of endless models and callers", "I6")
def test_memory_is_bounded_over_models_and_callers() -> None:
    """A pair too many is refused; a pair that is held goes on; the next window is free."""
    window = Reports()
    models = [ModelRef("box", str(n)) for n in range(101)]
    for model in models[:100]:
        for number in range(100):
            assert window.add(model, report(caller=str(number)), None, EPOCH, str(number // 20)) is None
    assert "too many" in (window.add(models[100], report(), None, EPOCH) or "")
    assert "too many" in (window.add(models[0], report(caller="more"), None, EPOCH, "6") or "")
    sums = window.take()
    assert (sums[models[100]].calls, sums[models[100]].uncounted) == (0, 1)
    assert window.add(models[100], report(), None, EPOCH) is None


@pytest.mark.parametrize("outcome", sorted(CALLERS_OWN))
def test_what_is_the_callers_fault_is_no_call_that_tells_of_the_model(outcome: Outcome) -> None:
    """It is counted as what it is."""
    sums = taken([report(outcome), report()])
    assert (sums.calls, sums.succeeded, sums.failures) == (1, 1, {outcome: 1})


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - CALLERS_OWN - {Outcome.OK}))
def test_every_other_failure_is_a_call_that_failed(outcome: Outcome) -> None:
    """Whether it was refused, late, cut off or turned away for being busy."""
    sums = taken([report(outcome)])
    assert (sums.calls, sums.succeeded, sums.failures) == (1, 0, {outcome: 1})


@pytest.mark.parametrize(
    ("told", "output_tps"),
    [
        ({"ttft_ms": 500, "e2e_ms": 1500, "output_tokens": 101}, 100.0),
        ({"ttft_ms": 500, "e2e_ms": 1500, "output_tokens": 8}, 7.0),
        ({"ttft_ms": 500, "e2e_ms": 1500, "output_tokens": 7}, None),
        ({"ttft_ms": 500, "e2e_ms": 500.5, "output_tokens": 100}, None),
        ({"e2e_ms": 1500, "output_tokens": 100}, None),
        ({"ttft_ms": 500, "output_tokens": 100}, None),
        ({"ttft_ms": 500, "e2e_ms": 1500}, None),
    ],
)
def test_a_rate_needs_all_three_and_time_between_the_tokens(
    told: dict[str, float], output_tps: float | None
) -> None:
    """The first token is not decoding; a few tokens, or all at once, tell no rate."""
    assert output_tps_of(report(**told)) == output_tps


def test_sums_are_of_the_present_weights() -> None:
    """New weights within a window, or while sums wait, leave only what was said of them."""
    window = Reports()
    window.add(MODEL, report(Outcome.TIMEOUT), "old", EPOCH)
    window.add(MODEL, report(), "new", EPOCH)
    sums = window.take()[MODEL]
    assert (sums.digest, sums.calls, sums.failures) == ("new", 1, {})
    later = sums_of(report(), "newest", EPOCH + DAY)
    assert sums + later == later + sums == later


def test_the_state_halves_every_day_and_takes_the_new_in() -> None:
    """Of late sums, as much as is left of them by now."""
    first = fold(None, taken([report(ttft_ms=100.0)] * 4), EPOCH, "d")
    assert (first.calls, first.succeeded, first.ttft_n) == (4, 4, 4)
    failed = sums_of(report(Outcome.TIMEOUT), "d", EPOCH + DAY)
    second = fold(first, failed, EPOCH + DAY, "d")
    assert second.as_of == EPOCH + DAY
    assert (second.calls, second.succeeded, second.failures) == (3, 2, {"timeout": 1})
    assert math.exp(second.ttft_log_sum / second.ttft_n) == pytest.approx(100.0)
    waited = fold(first, failed, EPOCH + 2 * DAY, "d")
    assert (waited.calls, waited.failures) == (1.5, {"timeout": 0.5})


def test_a_replica_whose_clock_is_behind_takes_nothing_back() -> None:
    """The state's time never goes backwards."""
    first = fold(None, taken([report()]), EPOCH, "d")
    behind = EPOCH - FUTURE
    second = fold(first, sums_of(report(), "d", behind), behind, "d")
    assert (second.as_of, second.calls) == (EPOCH, pytest.approx(2, rel=1e-3))


@pytest.mark.fault(
    "a wrong clock dated the reports of callers",
    "I10",
    without=("vedette_recommender.reports:is_future", lambda *_: False),
)
def test_what_a_wrong_clock_dated_counts_for_nothing() -> None:
    """Else it would not fade until that day comes."""
    future = fold(None, taken([report()] * 9), EPOCH + 31 * DAY, "d")
    after = fold(future, sums_of(report(), "d", EPOCH), EPOCH, "d")
    assert (after.as_of, after.calls) == (EPOCH, 1)


def test_new_weights_begin_anew() -> None:
    """And what was said of the old ones in the meantime does not count."""
    old = fold(None, taken([report()] * 9), EPOCH, "d")
    late = taken([report(Outcome.TIMEOUT)])
    assert fold(old, late, EPOCH, "new") == Reported(as_of=EPOCH, digest="new")
    new = fold(old, sums_of(report(), "new", EPOCH), EPOCH, "new")
    assert (new.digest, new.calls, new.failures) == ("new", 1, {})


@given(st.lists(st.lists(reported, min_size=1, max_size=20), min_size=1, max_size=6), st.data())
def test_the_state_is_that_of_all_windows_in_whatever_order(
    windows: list[list[ReportRequest]], data: st.DataObject
) -> None:
    """Which replica is first does not matter, and neither does whether sums were joined while they waited."""
    sums = [taken(told) for told in windows]

    def state(order: list[Sums]) -> Reported:
        after = None
        for one in order:
            after = fold(after, one, EPOCH, "d")
        assert after is not None
        return after

    joined = sums[0]
    for one in sums[1:]:
        joined = joined + one
    same(state(sums), state(data.draw(st.permutations(sums))))
    same(state(sums), state([joined]))


measured_by = st.lists(st.tuples(st.none() | askers, reported, st.booleans()), min_size=1, max_size=300)


@given(measured_by)
def test_what_a_gateway_measures_leaves_the_limits_of_accounts_as_they_are(
    told: list[tuple[str | None, ReportRequest, bool]],
) -> None:
    """Each account's reports count as without a gateway, whatever that reports between them."""
    with_gateway, without = Reports(), Reports()
    for asker, one, measured in told:
        said = with_gateway.add(MODEL, one, "d", EPOCH, asker, measured=measured)
        if measured:
            assert said is None
        else:
            assert (said is None) == (without.add(MODEL, one, "d", EPOCH, asker) is None)


def test_a_gateway_has_a_limit_of_its_own() -> None:
    window = Reports()
    said = [
        window.add(MODEL, report(), "d", EPOCH, measured=True)
        for _ in range(reports.MAX_MEASURED_PER_MODEL + 1)
    ]
    assert [one is None for one in said] == [True] * reports.MAX_MEASURED_PER_MODEL + [False]
    assert window.add(MODEL, report(), "d", EPOCH, "A") is None
    sums = window.take()[MODEL]
    assert (sums.calls, sums.uncounted) == (reports.MAX_MEASURED_PER_MODEL + 1, 1)


def test_the_name_of_the_gateway_is_no_account_of_an_agent() -> None:
    """What a gateway measures is apart from what any account says, one that calls itself by its name included."""
    window = Reports()
    window.add(MODEL, report(), "d", EPOCH, measured=True)
    window.add(MODEL, report(), "d", EPOCH, "GATEWAY")
    assert len(window.take()[MODEL].accounts) == 3


@given(reported)
def test_what_a_gateway_measures_adds_up_to_one_report(one: ReportRequest) -> None:
    """Half of it by each of two accounts: it weighs as much as what one account says, and they agree."""
    (whole,) = sums_of(one, "d", EPOCH, asker="A").accounts.values()
    first, second = sums_of(one, "d", EPOCH, measured=True).accounts.values()
    assert first == second
    assert {signal: half + second[signal] for signal, half in first.items()} == whole


def test_what_is_measured_is_taken_every_second_and_stays_counted_until_the_window_ends() -> None:
    """Else a gateway, or an account beside it, had its limits again each second."""
    window = Reports()
    for _ in range(reports.MAX_PER_ASKER):
        window.add(MODEL, report(), "d", EPOCH, "A")
    assert window.take_measured() == {}
    window.add(MODEL, report(), "d", EPOCH, measured=True)
    assert window.take_measured()[MODEL].calls == reports.MAX_PER_ASKER + 1
    assert window.take_measured() == {}
    assert window.add(MODEL, report(), "d", EPOCH, "A") is not None
    for _ in range(reports.MAX_MEASURED_PER_MODEL - 1):
        assert window.add(MODEL, report(), "d", EPOCH, measured=True) is None
        window.take_measured()
    assert window.add(MODEL, report(), "d", EPOCH, measured=True) is not None
    window.take()
    assert window.add(MODEL, report(), "d", EPOCH, "A") is None
    assert window.add(MODEL, report(), "d", EPOCH, measured=True) is None
