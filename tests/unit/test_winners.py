"""When another model becomes the best for a use case, and when near equals do not."""

import math
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samples import lifecycle_event
from vedette.messages.catalogue import Catalogue
from vedette.messages.codec import decode_event, encode
from vedette.messages.events import AnswerChanged, AsOf
from vedette.messages.queries import Rejection
from vedette.testing import EPOCH
from vedette.types import ModelRef
from vedette_recommender.announcement_policy import decide, knows_more
from vedette_recommender.constants import SWITCH_MARGIN_POINTS
from vedette_recommender.winner_status import WinnerStatus, because

A, B, C = ModelRef("box", "a"), ModelRef("gpu", "b"), ModelRef("gpu", "c")


def standing(
    before: ModelRef | None, scores: dict[ModelRef, float], *, sequence: int = 1, minute: int = 0
) -> WinnerStatus:
    """Return how *scores* stand beside *before*."""
    best = max(scores.items(), key=lambda item: (item[1], item[0]), default=None)
    score = scores.get(before) if before else None
    return WinnerStatus(
        best=best,
        score=score,
        out="its status is unreachable" if before and score is None else "",
        as_of=AsOf(sequence=sequence, scored_at=EPOCH + timedelta(minutes=minute)),
    )


def after(before: AnswerChanged | None, scores: dict[ModelRef, float]) -> AnswerChanged | None:
    """Return what is announced of *scores* after *before*."""
    return decide("chat", before, standing(before.model if before else None, scores), now=EPOCH)


@pytest.fixture
def announced() -> AnswerChanged:
    """Return the announcement that A is best."""
    first = after(None, {A: 60.0, B: 59.0})
    assert first is not None
    return first


def test_the_first_is_announced(announced: AnswerChanged) -> None:
    assert (announced.reason, announced.model, announced.score) == ("first", A, 60.0)
    assert (announced.before, announced.before_score, announced.margin) == (None, None, None)
    assert announced.detail == "box/a is best for chat with 60.0 of 100; there was none before it."


def test_it_stays_until_another_beats_it_by_the_margin(announced: AnswerChanged) -> None:
    assert after(announced, {A: 60.0, B: 60.0 + SWITCH_MARGIN_POINTS - 0.01}) is None
    changed = after(announced, {A: 60.0, B: 60.0 + SWITCH_MARGIN_POINTS, C: 61.0})
    assert changed is not None
    assert (changed.reason, changed.model, changed.score) == ("better", B, 62.0)
    assert (changed.before, changed.before_score, changed.margin) == (A, 60.0, 2.0)
    assert changed.detail == "gpu/b is best for chat with 62.0 of 100, 2.0 points ahead of box/a with 60.0."


def test_one_that_is_no_candidate_any_more_gives_way_to_however_bad_a_one(announced: AnswerChanged) -> None:
    changed = after(announced, {B: 5.0})
    assert changed is not None
    assert (changed.reason, changed.model, changed.before, changed.before_score) == ("gone", B, A, None)
    assert changed.margin is None
    assert changed.detail.endswith("box/a is not a candidate any more: its status is unreachable.")


def test_no_candidate_is_announced_once_and_then_the_next_is_the_first(announced: AnswerChanged) -> None:
    none = after(announced, {})
    assert none is not None
    assert (none.reason, none.model, none.score, none.before) == ("none", None, None, A)
    assert "box/a was the last: its status is unreachable" in none.detail
    assert after(none, {}) is None
    again = after(none, {B: 1.0})
    assert again is not None
    assert (again.reason, again.before) == ("first", None)
    assert again.id != announced.id


def test_nothing_is_announced_of_a_use_case_that_never_had_a_candidate() -> None:
    assert after(None, {}) is None


def test_replicas_that_decide_the_same_give_the_same_id() -> None:
    """Whenever they do; a later return to the same model is another event."""
    one = decide("chat", None, standing(None, {A: 60.0}), now=EPOCH)
    two = decide("chat", None, standing(None, {A: 60.0}), now=EPOCH + timedelta(seconds=3))
    assert one is not None
    assert two is not None
    assert one.id == two.id
    other = decide("fast", None, standing(None, {A: 60.0}), now=EPOCH)
    assert other is not None
    assert other.id != one.id
    to_b = after(one, {A: 1.0, B: 60.0})
    back = after(to_b, {A: 60.0, B: 1.0})
    assert back is not None
    assert len({one.id, to_b.id if to_b else "", back.id}) == 3


SCORE = st.floats(0, 100, allow_nan=False)
WALKS = st.lists(st.dictionaries(st.sampled_from((A, B, C)), SCORE), max_size=30)


def announcements(walk: list[dict[ModelRef, float]]) -> list[AnswerChanged]:
    """Return what is announced while the scores go through *walk*."""
    made: list[AnswerChanged] = []
    for scores in walk:
        event = after(made[-1] if made else None, scores)
        made += [event] if event else []
    return made


@given(st.lists(st.tuples(st.floats(50, 50 + SWITCH_MARGIN_POINTS - 1e-6), st.booleans()), min_size=1))
def test_near_equals_never_take_turns(steps: list[tuple[float, bool]]) -> None:
    """However two scores wander within the margin of each other, one announcement is all there is."""
    walk = [{A: high, B: 50.0} if first else {A: 50.0, B: high} for high, first in steps]
    assert len(announcements(walk)) == 1


@given(WALKS)
def test_what_was_announced_holds(walk: list[dict[ModelRef, float]]) -> None:
    """The same scores again announce nothing; each event follows from the one before, and has its reason."""
    before: AnswerChanged | None = None
    for scores in walk:
        event = after(before, scores)
        held = event or before
        assert after(held, scores) is None
        if held is not None and held.model is not None:
            assert max(scores.values()) - scores[held.model] < SWITCH_MARGIN_POINTS
        if event is not None:
            assert event.before == (before.model if before else None)
            assert event.model != event.before
            assert event.model is None or math.isclose(scores[event.model], event.score or 0.0)
            assert (event.reason == "better") is (event.margin is not None)
        before = held


@given(WALKS)
def test_every_announcement_goes_over_the_wire(walk: list[dict[ModelRef, float]]) -> None:
    """By its own subject and by that of its public copy."""
    for event in announcements(walk):
        assert decode_event("answer.chat", encode(event)) == event
        assert decode_event("recommend.changed.chat", encode(event)) == event


def test_an_announcement_may_know_more_than_a_replica(announced: AnswerChanged) -> None:
    """More of MODELS or of REPORTS; as much is not more."""
    told = announced.as_of
    assert not knows_more(announced, told)
    assert not knows_more(announced, msgspec.structs.replace(told, sequence=told.sequence + 1))
    assert knows_more(announced, msgspec.structs.replace(told, sequence=told.sequence - 1))
    assert knows_more(announced, msgspec.structs.replace(told, reports=-1))


def test_why_a_model_is_no_candidate_is_said_in_words() -> None:
    rejected = (
        Rejection(model=A, code="status", value="unreachable"),
        Rejection(model=A, code="capability", need="chat"),
        Rejection(model=A, code="capability_unknown", need="vision"),
    )
    assert because(None, rejected) == (
        "its status is unreachable and it lacks the capability chat "
        "and nothing shows that it has the capability vision"
    )
    lost = Catalogue.of([(1, lifecycle_event("lost", A, at=EPOCH))])
    assert because(lost.get(A), ()) == "it is lost, its endpoint no longer lists it"
    assert because(lost.get(B), ()) == "nothing is known of it any more"
