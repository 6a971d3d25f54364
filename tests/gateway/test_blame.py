"""A request that fails by itself makes no model look broken to others."""

import pytest

from vedette.providers.observing import Api
from vedette.providers.passing import Refusal
from vedette.types import ModelRef, Outcome
from vedette_gateway.blame import Blame
from vedette_gateway.calling import Attempt
from vedette_gateway.wanted import Wanted, read


def asked(text: str = "hi", api: Api = "chat/completions") -> Wanted:
    return read(api, f'{{"model": "vedette/chat", "messages": [], "user": "{text}"}}'.encode(), ())


def at(
    endpoint: str, outcome: Outcome = Outcome.SERVER_ERROR, *, called: bool = True, status: int = 500
) -> Attempt:
    page = Refusal(status=status, body=b"<html></html>", media_type="text/html", outcome=outcome, said="")
    return Attempt(model=ModelRef(endpoint, "m"), outcome=outcome, called=called, refusal=page)


def test_the_same_request_again_is_one_failure() -> None:
    """Clients send a request again after a 500."""
    blame = Blame()
    counted = [
        len(blame.of(asked(), [at("a")], replied=False, now=now)) for now in (100.0, 101.0, 102.0, 170.0)
    ]
    assert counted == [1, 0, 0, 1]
    assert blame.of(asked("other"), [at("a")], replied=False, now=171.0)


@pytest.mark.parametrize(("replied", "counted"), [(False, []), (True, ["a", "b"])])
def test_a_request_that_breaks_every_server_is_the_cause(replied: bool, counted: list[str]) -> None:
    """Where another one replies to it, they are."""
    found = Blame().of(asked(), [at("a"), at("b")], replied=replied, now=1.0)
    assert [one.model.endpoint for one in found] == counted


def test_no_request_stops_the_servers_behind_two_proxies() -> None:
    """A 502 can be of a server that the request made crash."""
    absent = [at("a", status=503), at("b", status=503)]
    assert Blame().of(asked(), absent, replied=False, now=1.0) == absent
    crashed = [at("c", status=502), at("d", status=500), *absent]
    assert Blame().of(asked(), crashed, replied=False, now=1.0) == absent


def test_a_server_without_the_api_and_a_full_one_say_nothing_of_the_model() -> None:
    blame, missing = Blame(), at("a", Outcome.NOT_FOUND)
    assert blame.of(asked(api="responses"), [missing], replied=False, now=1.0) == []
    assert blame.of(asked(), [missing], replied=False, now=1.0) == [missing]
    assert blame.of(asked(), [at("b", Outcome.BUSY, called=False)], replied=False, now=1.0) == []
    timeouts = [at("c", Outcome.TIMEOUT), at("d", Outcome.TIMEOUT)]
    assert blame.of(asked(), timeouts, replied=False, now=1.0) == timeouts
