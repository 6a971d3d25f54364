"""Which listed model was known under another endpoint's name, and whose a recorded row is after renames."""

from datetime import UTC, datetime, timedelta
from itertools import permutations

import msgspec
import pytest

from samples import benchmark_event, lifecycle_event, model_info, probe_event
from vedette.messages.catalogue import Catalogue, ModelState
from vedette.messages.events import AsOf, Event, Formerly, Job, Lifecycle, ModelFound, ModelLost
from vedette.runtime.reloading import changes
from vedette.settings import EndpointSettings, Settings
from vedette.types import ModelInfo, ModelRef
from vedette_discoverer import renaming
from vedette_recommender.announcement_policy import decide
from vedette_recommender.winner_status import WinnerStatus
from vedette_recorder.renaming import Rename, Written, owner

NOW = datetime(2026, 11, 29, 9, tzinfo=UTC)
ONE, TWO = "http://one:1", "http://two:1"
OLD, NEW = ModelRef("gpu", "m"), ModelRef("gpu-box", "m")
JOB = Job(id="job", at=NOW, kind="discover", group="h", endpoint="gpu-box")


def info(model: ModelRef, url: str = ONE, **facts: object) -> ModelInfo:
    return model_info(model, url=url, **({"digest": "d"} | facts))


def found(model: ModelRef, url: str = ONE, *, revision: int = 1, **facts: object) -> Lifecycle:
    return lifecycle_event("found", model, at=NOW, revision=revision, info=info(model, url, **facts))


def lost(model: ModelRef, url: str = ONE, *, revision: int = 2, **facts: object) -> Lifecycle:
    return lifecycle_event("lost", model, at=NOW, revision=revision, info=info(model, url, **facts))


def held(*events: Event) -> Catalogue:
    return Catalogue.of(enumerate(events, start=1))


def was(catalogue: Catalogue, configured: dict[str, str], listed: ModelInfo) -> ModelRef | None:
    former = renaming.former(catalogue, configured, listed)
    return former.model if former else None


def renamed(old: ModelRef, new: ModelRef, **facts: object) -> ModelFound:
    formerly = Formerly(model=old, until=NOW, found_at=NOW - timedelta(days=3))
    event = lifecycle_event("found", new, at=NOW, info=info(new, **facts))
    return ModelFound(**{**msgspec.structs.asdict(event), "afresh": True, "formerly": formerly})


def test_the_same_server_name_and_weights_under_another_name_are_the_same_model() -> None:
    assert was(held(found(OLD)), {"gpu-box": ONE}, info(NEW)) == OLD


def test_it_is_so_after_the_endpoint_was_away() -> None:
    """Removed today, back next week under another name: as long as it is remembered."""
    assert was(held(found(OLD), lost(OLD)), {"gpu-box": ONE}, info(NEW)) == OLD


@pytest.mark.parametrize(
    ("configured", "listed"),
    [
        ({"gpu": ONE, "gpu-box": ONE}, info(NEW)),
        ({"gpu-box": TWO}, info(NEW, TWO)),
        ({"gpu-box": ONE}, info(NEW, digest="other")),
        ({"gpu-box": ONE}, info(NEW, digest=None)),
        ({"gpu-box": ONE}, info(ModelRef("gpu-box", "another"))),
        ({"gpu": ONE}, info(OLD)),
        # Of two new names for a server, the first has its models; they are not given out twice.
        ({"first": ONE, "gpu-box": ONE}, info(NEW)),
    ],
    ids=["two names", "another server", "weights", "no digest now", "another model", "no rename", "two new"],
)
def test_nothing_else_is(configured: dict[str, str], listed: ModelInfo) -> None:
    assert was(held(found(OLD)), configured, listed) is None


def test_a_second_name_that_has_the_model_already_leaves_it_to_the_new_one() -> None:
    """Two endpoints at one server, of which one is renamed."""
    catalogue = held(found(ModelRef("first", "m")), found(OLD))
    assert was(catalogue, {"first": ONE, "gpu-box": ONE}, info(NEW)) == OLD


def test_without_a_digest_what_the_server_tells_of_the_weights_decides() -> None:
    told = {"digest": None, "family": "llama", "parameters": 8, "size_bytes": 5}
    catalogue = held(found(OLD, **told))
    assert was(catalogue, {"gpu-box": ONE}, info(NEW, **told)) == OLD
    assert was(catalogue, {"gpu-box": ONE}, info(NEW, digest=None)) == OLD, (
        "what is not told is no difference"
    )
    assert was(catalogue, {"gpu-box": ONE}, info(NEW, **{**told, "size_bytes": 6})) is None


def test_a_name_that_was_given_up_already_is_not_given_up_again() -> None:
    left = ModelLost(**{**msgspec.structs.asdict(lost(OLD)), "renamed_to": ModelRef("x", "m")})
    assert was(held(found(OLD), left), {"gpu-box": ONE}, info(NEW)) is None
    # Here the crash came before the end of the former name was published.
    taken = held(found(OLD), lost(OLD), renamed(OLD, ModelRef("x", "m")), lost(ModelRef("x", "m"), TWO))
    assert was(taken, {"gpu-box": ONE}, info(NEW)) is None


def test_swapped_names() -> None:
    """Each is found whatever comes first, also when the name of one is taken already."""
    a, b = ModelRef("a", "m"), ModelRef("b", "m")
    configured = {"a": TWO, "b": ONE}
    both = held(found(a, ONE), found(b, TWO))
    assert was(both, configured, info(a, TWO)) == b
    assert was(both, configured, info(b, ONE)) == a
    taken = held(found(a, ONE), found(b, TWO), lost(b, TWO), renamed(a, b))
    former = renaming.former(taken, configured, info(a, TWO))
    assert former is not None
    assert (former.model, former.through, former.replaced) == (b, 3, True)


def test_a_moved_endpoint_makes_way_for_the_one_that_has_its_url() -> None:
    catalogue = held(found(OLD))
    state = catalogue.get(OLD)
    assert state is not None
    assert renaming.makes_way(catalogue, {"gpu": TWO, "gpu-box": ONE}, state)
    assert not renaming.makes_way(catalogue, {"gpu": TWO}, state), (
        "it has a new address, and keeps what it has"
    )
    assert not renaming.makes_way(catalogue, {"gpu": ONE, "gpu-box": ONE}, state)


def events_of_a_rename() -> list[tuple[int, Event]]:
    """Return what the stream holds of the new name: stale state, what came along, and `found`."""
    source = Catalogue.of(
        enumerate([found(OLD), probe_event(OLD, at=NOW, job_id="p"), benchmark_event(OLD, at=NOW, tps=9)])
    ).get(OLD)
    assert source is not None
    stale = [benchmark_event(NEW, at=NOW, tps=1), probe_event(NEW, at=NOW, job_id="stale")]
    brought = list(renaming.measured(source, ModelState(model=NEW)))
    return [*enumerate([*stale, *brought, renamed(OLD, NEW)], start=10)]


def test_what_came_along_counts_and_nothing_else_in_whatever_order() -> None:
    events = events_of_a_rename()
    states = [Catalogue.of(order).get(NEW) for order in permutations(events)]
    assert all(state == states[0] for state in states)
    (state,) = states[:1]
    assert state is not None
    assert state.health is not None
    assert state.health.outcomes[-1].job_id == "p"
    assert state.benchmarked is not None
    assert state.benchmarked.event.performance.output_tps is not None
    assert state.benchmarked.event.performance.output_tps.median == 9
    assert state.found_at == NOW - timedelta(days=3)


def test_stale_state_of_another_server_does_not_count() -> None:
    """The model that had this name before was measured; the one that has it now never was."""
    unmeasured = renamed(OLD, NEW, digest=None)  # as the benchmark: the digest does not tell them apart
    stale = benchmark_event(NEW, at=NOW, tps=1), probe_event(NEW, at=NOW, job_id="p")
    state = held(*stale, unmeasured).get(NEW)
    assert isinstance(state, ModelState)
    assert state.health is None
    assert state.performance is None


def test_the_same_state_is_brought_along_once() -> None:
    """Ids follow from what is repeated, so replicas publish the same."""
    source = held(found(OLD), probe_event(OLD, at=NOW, job_id="p")).get(OLD)
    assert source is not None
    assert list(renaming.measured(source, ModelState(model=NEW))) == list(
        renaming.measured(source, ModelState(model=NEW))
    )


def test_a_winner_that_was_renamed_is_not_said_to_be_gone() -> None:
    as_of = AsOf(sequence=5, scored_at=NOW)
    first = decide("chat", None, WinnerStatus(best=(OLD, 50.0), as_of=as_of), now=NOW)
    standing = WinnerStatus(best=(NEW, 50.0), score=50.0, renamed_to=NEW, as_of=as_of)
    second = decide("chat", first, standing, now=NOW)
    assert second is not None
    assert (second.renamed, second.model, second.before) == (True, NEW, OLD)
    assert "renamed" in second.detail
    assert decide("chat", second, WinnerStatus(best=(NEW, 50.0), score=50.0, as_of=as_of), now=NOW) is None
    # A near equal that is first now does not take its place by the way.
    near = WinnerStatus(best=(ModelRef("x", "y"), 50.1), score=50.0, renamed_to=NEW, as_of=as_of)
    after = decide("chat", first, near, now=NOW)
    assert after is not None
    assert (after.renamed, after.model) == (True, NEW)


def test_a_reload_says_that_an_endpoint_was_renamed() -> None:
    def configured(**urls: str) -> Settings:
        return Settings(endpoints={name: EndpointSettings(url=url) for name, url in urls.items()})

    assert changes(configured(gpu=ONE), configured(box=ONE)) == ["endpoint gpu renamed box"]
    assert changes(configured(gpu=ONE), configured(box=TWO)) == ["endpoint box added", "endpoint gpu removed"]
    two = changes(configured(gpu=ONE), configured(box=ONE, other=ONE))
    assert two == ["endpoint box added", "endpoint other added", "endpoint gpu removed"]


def rename(old: str, new: str, *, at: int, until: int, replaced: int | None = None) -> Rename:
    return Rename(
        event_id=f"{at}",
        endpoint=new,
        model="m",
        former_endpoint=old,
        at=NOW + timedelta(seconds=at),
        until=NOW + timedelta(seconds=until),
        replaced_at=None if replaced is None else NOW + timedelta(seconds=replaced),
    )


def belongs(endpoint: str, at: int, *renames: Rename) -> str:
    return owner(Written(1, "t", "e", endpoint, "m", NOW + timedelta(seconds=at)), renames)


def test_whose_a_late_row_is() -> None:
    once, twice = rename("a", "b", at=10, until=10), rename("b", "c", at=20, until=20)
    assert belongs("a", 9, once) == "b"
    assert belongs("a", 11, once) == "a", "the name was given to another one since"
    assert belongs("a", 9, twice, once) == "c"
    assert belongs("b", 15, twice, once) == "c"
    assert belongs("a", 9, once, rename("b", "a", at=20, until=20)) == "a", "and back"


def test_whose_a_late_row_is_after_names_were_swapped() -> None:
    """The rows of b are set aside before those of a come, and then go to a."""
    first = rename("a", "b", at=10, until=10, replaced=9)
    second = rename("b", "a", at=11, until=9, replaced=10)
    for renames in ((first,), (first, second), (second, first)):
        assert belongs("a", 5, *renames) == "b"
        assert belongs("b", 12, *renames) == "b"
    assert belongs("b", 5, first, second) == "a"
    assert belongs("b", 5, first) not in {"a", "b"}
