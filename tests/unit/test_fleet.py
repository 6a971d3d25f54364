"""The fleet's judge: what it calls wrong in what Vedette says of a server."""

from faults.fleet import Said, Truth, a_day, logged, wrong
from vedette.types import Outcome, Status, Use

UP = Truth(names=frozenset({"a", "b"}), loaded=frozenset({"a"}))


def said(outcome: Outcome = Outcome.OK, loaded: str = "a", best: str = "a", **statuses: Status) -> Said:
    return Said(
        outcome=outcome,
        statuses=statuses or {"a": Status.AVAILABLE, "b": Status.AVAILABLE},
        loaded=frozenset(loaded),
        best=tuple(best),
    )


def test_what_is_so_is_right() -> None:
    assert wrong(UP, said()) == []
    gone = said(Outcome.REFUSED, best="", a=Status.UNREACHABLE, b=Status.UNREACHABLE)
    assert wrong(Truth(names=None), gone) == []


def test_a_server_that_is_gone_may_have_nothing_that_can_be_called() -> None:
    assert wrong(Truth(names=None), said(a=Status.AVAILABLE)) == [
        "it says ok",
        "a is available",
        "a is recommended",
    ]


def test_names_and_what_is_loaded_are_compared() -> None:
    assert wrong(UP, said(loaded="b", a=Status.AVAILABLE, c=Status.UNKNOWN)) == [
        "b is missing",
        "c is not there",
        "a is loaded",
        "b is not loaded",
    ]


def test_what_never_answers_may_be_degraded_and_not_available() -> None:
    dead = Truth(names=frozenset({"a", "b"}), dead=frozenset({"a"}))
    assert wrong(dead, said(best="", a=Status.DEGRADED, b=Status.AVAILABLE)) == []
    assert wrong(dead, said(best="a")) == ["a is available and never answers", "a is recommended"]


def test_a_server_too_busy_to_answer_is_not_compared() -> None:
    assert wrong(Truth(names=None, is_known=False), said()) == []


def test_requests_are_counted_in_every_form_of_log() -> None:
    """Ollama's, uvicorn's, llama-swap's; without our own, and without those that a router passed on."""
    lines = (
        '[GIN] 2026/11/29 - 13:27:41 | 200 |  276.466132ms |       127.0.0.1 | POST     "/api/show"',
        '[GIN] 2026/11/29 - 13:27:43 | 200 | 14.378584248s |       127.0.0.2 | POST     "/v1/chat/completions"',
        'INFO:     127.0.0.1:43370 - "GET /v1/models HTTP/1.1" 200 OK',
        '[INFO] Request 127.0.0.1 "GET /running HTTP/1.1" 200 672 "vedette/0.1.0" 3.3ms',
        "[GIN-debug] GET    /v1/models                --> github.com/ollama/ollama/server (6 handlers)",
        "[38205] srv log_server_r: done request: POST /v1/chat/completions 127.0.0.1 200",
    )
    assert dict(logged(lines)) == {"POST /api/show": 1, "GET /v1/models": 1, "GET /running": 1}


def test_a_day_is_what_jobs_used_times_the_default_schedule() -> None:
    """Each model is benchmarked four times a day and evaluated once a week; what has not ended counts for nothing."""
    used = {
        "probe": Use(requests=30),
        "benchmark": Use(requests=16, tokens=2000),
        "verify": Use(requests=9, tokens=900),
        "evaluate": Use(requests=5, tokens=50),
    }
    lines = a_day(used, {"probe": 10, "benchmark": 2, "verify": 1}, models=2)
    assert lines == [
        "48.00 times probe: 3.0 requests, 0 tokens (10 ended)",
        "8.00 times benchmark: 8.0 requests, 1000 tokens (2 ended)",
        "208 requests, 8000 tokens",
    ]
