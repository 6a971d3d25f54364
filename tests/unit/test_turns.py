"""Endpoints of one host take turns."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from vedette.messages.events import Job, JobCause, JobKind
from vedette.types import ModelRef
from vedette_benchmarker.turns import at_first, following, in_turns

NOW = datetime(2026, 11, 29, tzinfo=UTC)
KINDS: dict[str, JobKind] = {"b": "benchmark", "v": "verify", "e": "evaluate"}


def job(text: str, cause: JobCause = "found") -> Job:
    """Return the job that `big/1 b` names: the benchmark of model 1 at the endpoint big."""
    model, kind = text.split()
    endpoint, name = model.split("/")
    ref = ModelRef(endpoint, name)
    return Job(id=text, at=NOW, kind=KINDS[kind], group="rack", endpoint=endpoint, model=ref, cause=cause)


def turns(last: str, *queue: str, cause: JobCause = "found") -> list[str]:
    return [one.id for one in in_turns([job(text, cause) for text in queue], job(last, cause))]


def test_one_new_model_does_not_wait_for_all_of_another_endpoint() -> None:
    queue = [f"big/{n} b" for n in range(50)]
    assert turns("big/x b", *queue, "small/1 b") == ["small/1 b", *queue]


def test_two_endpoints_with_many_models_take_turns() -> None:
    """Neither has all of its own done before the other."""
    queue = ("a/2 b", "a/3 b", "a/4 b", "b/1 b", "b/2 b")
    assert turns("a/1 b", *queue) == ["b/1 b", "a/2 b", "b/2 b", "a/3 b", "a/4 b"]
    assert turns("b/0 b", *queue) == ["a/2 b", "b/1 b", "a/3 b", "b/2 b", "a/4 b"]


def test_a_model_that_is_loaded_is_checked_before_the_next_endpoint_has_its_turn() -> None:
    assert turns("a/1 b", "a/2 b", "a/2 v", "b/1 b", "a/1 v") == ["a/1 v", "b/1 b", "a/2 b", "a/2 v"]
    assert turns("a/1 v", "a/1 e", "b/1 b") == ["b/1 b", "a/1 e"]


def test_evaluations_wait_for_first_figures_and_for_those_alone() -> None:
    assert turns("a/1 b", "b/1 e", "a/2 b", "a/3 b") == ["a/2 b", "a/3 b", "b/1 e"]
    assert turns("a/1 b", "b/1 e", "a/2 b", "a/3 b", cause="tick") == ["b/1 e", "a/2 b", "a/3 b"]


def test_of_new_models_the_most_promising_is_evaluated_first() -> None:
    """Before those that were evaluated already; the others keep their order."""
    hopes = {"a": 0.3, "b": 0.9, "c": 0.6}
    queue = [job("x/old e", "tick"), job("x/a e"), job("x/b e"), job("x/a v", "tick"), job("x/c e")]
    ordered = in_turns(queue, job("x/old b", "tick"), lambda model: hopes[model.name])
    assert [one.id for one in ordered if one.kind == "evaluate"] == ["x/b e", "x/c e", "x/a e", "x/old e"]


def test_an_operators_job_is_not_moved() -> None:
    queue = [job("a/2 b"), job("a/3 b", "manual"), job("b/1 b")]
    assert [one.id for one in in_turns(queue, job("a/1 b"))] == ["b/1 b", "a/2 b"]


QUEUES = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 4), st.sampled_from("bve")), unique=True, max_size=20
)


@given(QUEUES, st.sampled_from(["found", "tick"]))
def test_the_order_holds_while_its_jobs_are_done(drawn: list[tuple[str, int, str]], cause: JobCause) -> None:
    """Nothing is lost, and a queue in order is left alone as long as nothing new comes."""
    queue = [job(f"{endpoint}/{name} {kind}", cause) for endpoint, name, kind in drawn]
    ordered = in_turns(queue, job("d/0 e"))
    assert sorted(one.id for one in ordered) == sorted(one.id for one in queue)
    while ordered and (ordered[0].kind != "evaluate" or cause == "tick"):
        last, *rest = ordered
        ordered = in_turns(rest, last)
        if cause == "found" and all(one.kind == "evaluate" or one.model == last.model for one in rest):
            return  # the last new model has its turn: evaluations begin to take turns
        assert ordered == rest


@given(QUEUES)
def test_no_endpoint_has_two_turns_while_another_waits(drawn: list[tuple[str, int, str]]) -> None:
    queue = [job(f"{endpoint}/{name} {kind}", "tick") for endpoint, name, kind in drawn]
    ordered = in_turns(queue, job("d/0 e"))
    units = [(one.endpoint, one.model, one.kind == "evaluate") for one in ordered]
    begun = list(dict.fromkeys(units))
    for place, (endpoint, *_) in enumerate(begun[1:], 1):
        if begun[place - 1][0] == endpoint:
            assert {name for name, *_ in begun[place:]} == {endpoint}


def first(*wanted: JobKind, is_paid: bool = False) -> list[list[JobKind]]:
    """Return what is queued of a new model at once, then when each of those is done."""
    soon = at_first(wanted, is_paid=is_paid)
    return [soon, *(following(kind, wanted) for kind in soon)]


def test_an_evaluation_follows_the_last_of_the_other_first_measurements() -> None:
    assert first("evaluate", "verify", "benchmark") == [["benchmark", "verify"], [], ["evaluate"]]
    assert first("benchmark", "evaluate") == [["benchmark"], ["evaluate"]]
    assert first("verify", "evaluate") == [["verify"], ["evaluate"]]


def test_a_model_is_evaluated_at_once_where_nothing_else_is_measured() -> None:
    assert first("evaluate") == [["evaluate"], []]
    assert first("benchmark", "verify", "evaluate", is_paid=True)[0] == ["benchmark", "verify", "evaluate"]


def test_where_evaluations_are_off_none_follows() -> None:
    assert first("benchmark", "verify") == [["benchmark", "verify"], [], []]
    assert first() == [[]]
