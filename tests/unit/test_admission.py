"""Which listed names become models, and which lost models are forgotten."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from vedette.messages.forgetting import forgettable
from vedette.providers import Listing
from vedette.types import EndpointState, Intake, Listed, ModelRef, Outcome
from vedette_discoverer.admission import admit

NOW = datetime(2026, 11, 29, tzinfo=UTC)


def listing(*names: str) -> list[Listing]:
    return [Listing(name=name) for name in names]


def state(*names: str, intake: Intake | None = None, listed: bool = True) -> EndpointState:
    return EndpointState(
        url="http://box",
        provider="ollama",
        fingerprint="f",
        checked_at=NOW,
        outcome=Outcome.OK,
        listing=tuple(Listed(name=name) for name in names),
        listed_at=NOW if listed else None,
        intake=intake,
    )


def test_the_first_listing_is_free() -> None:
    """A new endpoint brings as many models as it has, also after contacts that listed nothing."""
    for before in (None, state(listed=False)):
        admitted, intake = admit(before, listing("a", "b", "c"), known=(), per_day=1, now=NOW)
        assert [entry.name for entry in admitted] == ["a", "b", "c"]
        assert (intake.names, intake.refused) == (0, 0)


def test_new_names_beyond_the_day_s_allowance_are_refused() -> None:
    """Known names and those that were lost and are remembered always come in; new ones while there is allowance."""
    before = state("old", intake=Intake(since=NOW - timedelta(hours=1), names=8))
    admitted, intake = admit(
        before, listing("n1", "old", "n2", "back", "n3"), known={"back"}, per_day=10, now=NOW
    )
    assert [entry.name for entry in admitted] == ["n1", "old", "n2", "back"]
    assert (intake.since, intake.names, intake.refused) == (NOW - timedelta(hours=1), 10, 1)


def test_a_day_later_there_is_a_new_allowance() -> None:
    """So there is when the day began in the future, as after a wrong clock."""
    for since in (NOW - timedelta(hours=24), NOW + timedelta(days=30)):
        before = state("old", intake=Intake(since=since, names=10, refused=5))
        admitted, intake = admit(before, listing("new"), known=(), per_day=10, now=NOW)
        assert admitted == listing("new")
        assert (intake.since, intake.names, intake.refused) == (NOW, 1, 0)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=60), st.integers(0, 5))
def test_no_more_new_names_a_day_than_allowed(rounds: list[tuple[str, bool]], per_day: int) -> None:
    """Whatever is listed round after round, new names stay within the allowance."""
    before, new = state("x"), set[str]()
    for number, (prefix, twice) in enumerate(rounds):
        names = [f"{prefix}{number}", *([f"{prefix}{number}b"] if twice else [])]
        admitted, intake = admit(before, listing(*names), known=(), per_day=per_day, now=NOW)
        new |= {entry.name for entry in admitted}
        before = state(*(entry.name for entry in admitted), intake=intake)
    assert len(new) <= per_day


def test_old_losses_and_all_but_the_newest_of_an_endpoint_are_forgotten() -> None:
    """Each endpoint for itself: a flood of lost names at one pushes out none of another."""
    flood = [(ModelRef("evil", f"m{n:03}"), NOW - timedelta(minutes=n)) for n in range(50)]
    others = [
        (ModelRef("good", "m"), NOW - timedelta(days=29)),
        (ModelRef("good", "old"), NOW - timedelta(days=31)),
    ]
    gone = forgettable([*flood, *others], before=NOW - timedelta(days=30), most=10)
    assert set(gone) == {model for model, _ in flood[10:]} | {ModelRef("good", "old")}
