"""The fold: the same events give the same catalogue, in whatever order they come."""

import random
from datetime import UTC, datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from samples import lifecycle_event, model_info, probe_event, report_event
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import EndpointLoad, Event, ModelReported, ModelVerified
from vedette.types import Claim, Evidence, ModelRef, Outcome

NOW = datetime(2026, 11, 23, tzinfo=UTC)
MODELS = [ModelRef("a", "one"), ModelRef("b", "two")]
KINDS = ["found", "changed", "lost", "probed", "reported"]
steps = st.tuples(st.sampled_from(KINDS), st.sampled_from(MODELS))


def history(kinds: list[tuple[str, ModelRef]]) -> list[tuple[int, Event]]:
    made: list[tuple[int, Event]] = []
    for sequence, (kind, model) in enumerate(kinds, start=1):
        at = NOW + timedelta(seconds=sequence)
        event: Event
        if kind == "probed":
            event = probe_event(model, at=at, job_id=str(sequence))
        elif kind == "reported":
            event = report_event(model, at=at, digest=str(sequence - 1))
        else:
            info = model_info(model, digest=str(sequence))
            event = lifecycle_event(kind, model, at=at, revision=sequence, info=info)
        made.append((sequence, event))
    return made


def view(catalogue: Catalogue) -> list[object]:
    return [catalogue.sequence, catalogue.reports, *(catalogue.get(model) for model in MODELS)]


@given(st.lists(steps, max_size=20), st.randoms(use_true_random=False))
def test_order_does_not_matter(kinds: list[tuple[str, ModelRef]], rng: random.Random) -> None:
    """A permutation of the stream gives the same catalogue."""
    events = history(kinds)
    shuffled = rng.sample(events, len(events))
    assert view(Catalogue.of(events)) == view(Catalogue.of(shuffled))


@given(st.lists(steps, max_size=20))
def test_the_last_of_each_subject_is_enough(kinds: list[tuple[str, ModelRef]]) -> None:
    """A warm start from last messages equals the fold over the whole history."""
    events = history(kinds)
    last = {event.subject: (sequence, event) for sequence, event in events}
    assert view(Catalogue.of(events)) == view(Catalogue.of(last.values()))


@given(st.lists(steps, max_size=20))
def test_the_same_event_twice_changes_nothing(kinds: list[tuple[str, ModelRef]]) -> None:
    """Redelivery has no effect, and says so."""
    events = history(kinds)
    catalogue = Catalogue.of(events)
    before = view(catalogue)
    assert not any(catalogue.apply(event, sequence) for sequence, event in events)
    assert view(catalogue) == before


@given(st.lists(steps, max_size=20))
def test_reports_change_nothing_but_what_is_reported(kinds: list[tuple[str, ModelRef]]) -> None:
    """They come from another stream: without them models, lifecycle and sequence are the same."""
    events = history(kinds)
    whole = Catalogue.of(events)
    measured = Catalogue.of((n, event) for n, event in events if not isinstance(event, ModelReported))
    assert whole.sequence == measured.sequence
    for model in MODELS:
        state = whole.get(model)
        assert (msgspec.structs.replace(state, reported=None) if state else None) == measured.get(model)
    heard = [n for n, event in events if isinstance(event, ModelReported)]
    assert (whole.reports, measured.reports) == (max(heard, default=0), 0)


def test_reports_count_for_the_present_weights() -> None:
    """Heard before the model or after; a report alone makes no model, and one of other weights says nothing."""
    model = MODELS[0]
    found = lifecycle_event("found", model, at=NOW, info=model_info(model, digest="d"))
    told, other = report_event(model, at=NOW, digest="d"), report_event(model, at=NOW, digest="e")
    assert Catalogue.of([(9, told)]).get(model) is None
    state = Catalogue.of([(9, told), (1, found)]).get(model)
    assert state is not None
    assert state.reports == told.reported
    assert state.sequence == 1
    newer = Catalogue.of([(1, found), (10, other), (9, told)]).get(model)
    assert newer is not None
    assert newer.reported is not None
    assert newer.reports is None


def test_only_found_revives_a_lost_model_and_its_old_health_does_not_count() -> None:
    """A late probe of a lost model does not bring it back; found again, it starts without health."""
    model = MODELS[0]
    kinds = [("found", model), ("probed", model), ("lost", model), ("probed", model)]
    catalogue = Catalogue.of(history(kinds))
    assert list(catalogue.present()) == []
    again = Catalogue.of(history([*kinds, ("found", model)]))
    state = again.get(model)
    assert state is not None
    assert state.present
    assert state.health is None


def test_what_was_lost_long_ago_is_forgotten_by_rule() -> None:
    """Lost before the cut-off goes; present and lately lost stay."""
    catalogue = Catalogue.of(history([("found", MODELS[0]), ("found", MODELS[1]), ("lost", MODELS[0])]))
    catalogue.forget_lost(NOW)
    assert catalogue.get(MODELS[0]) is not None
    catalogue.forget_lost(NOW + timedelta(days=1))
    assert catalogue.get(MODELS[0]) is None
    assert catalogue.get(MODELS[1]) is not None


def test_what_was_reported_of_a_forgotten_model_is_forgotten_too() -> None:
    """Found again much later, it begins without; of a model that is still to be heard of, reports are kept."""
    gone, other = MODELS
    kinds = [("found", gone), ("reported", gone), ("lost", gone), ("reported", other)]
    catalogue = Catalogue.of(history(kinds))
    catalogue.forget_lost(NOW + timedelta(days=1))
    for model in MODELS:
        catalogue.apply(lifecycle_event("found", model, at=NOW), 99)
    found = [catalogue.get(model) for model in MODELS]
    assert [state.reported is not None for state in found if state] == [False, True]


def claim(value: bool, evidence: Evidence) -> Claim:
    return Claim(value=value, evidence=evidence, source=str(evidence))


def proved(digest: str | None, *, tools: bool) -> ModelVerified:
    return ModelVerified(
        id=f"v{digest}",
        at=NOW,
        model=MODELS[0],
        job_id="j",
        outcome=Outcome.OK,
        digest=digest,
        claims={"tools": claim(tools, Evidence.VERIFIED)},
        embedding_dimensions=384,
    )


def test_what_was_proved_stands_beside_what_is_declared() -> None:
    """It outweighs it, names what it contradicts, adds what nobody declared, and ends with other weights."""
    declared = {"tools": claim(True, Evidence.DECLARED), "chat": claim(True, Evidence.INFERRED)}
    found = lifecycle_event(
        "found", MODELS[0], at=NOW, info=model_info(MODELS[0], digest="1", capabilities=declared)
    )
    state = Catalogue.of([(1, found), (2, proved("1", tools=False))]).get(MODELS[0])
    assert state is not None
    assert state.known is not None
    tools = state.known.capabilities["tools"]
    assert (tools.value, tools.evidence) == (False, Evidence.VERIFIED)
    assert tools.contradicted_by == "declared: declared"
    assert state.known.capabilities["chat"] == declared["chat"]
    assert state.known.embedding_dimensions == 384
    assert state.info == found.info  # what the server says is kept as it said it
    other = Catalogue.of([(1, found), (2, proved("0", tools=False))]).get(MODELS[0])
    assert other is not None
    assert other.known == found.info


def test_an_endpoints_models_come_by_name_without_the_lost() -> None:
    """And without those of other endpoints."""
    models = [ModelRef("a", "two"), ModelRef("a", "one"), ModelRef("b", "one"), ModelRef("a", "gone")]
    catalogue = Catalogue.of(history([*(("found", model) for model in models), ("lost", models[-1])]))
    assert [state.model for state in catalogue.of_endpoint("a")] == [models[1], models[0]]
    assert catalogue.of_endpoint("c") == []


def test_the_last_load_of_an_endpoint_counts() -> None:
    """In whatever order they come; and no load makes a model or moves the sequence of MODELS."""
    loads = [
        EndpointLoad(
            id=str(n), at=NOW, endpoint="a", every_s=10.0, source="test", running=n, elapsed_ms=1.0, bytes=1
        )
        for n in range(3)
    ]
    catalogue = Catalogue()
    told = [catalogue.apply(loads[n], n + 1) for n in (0, 2, 1)]
    assert told == [True, True, False]
    assert (catalogue.loads, catalogue.load("a")) == (3, loads[2])
    assert (catalogue.load("b"), catalogue.sequence, list(catalogue.present())) == (None, 0, [])
