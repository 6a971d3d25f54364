"""Who may call: keys as they are sent, wrong ones, rates, and keys that change."""

import hashlib

import pytest

from vedette.settings import CallerKey, Gateway
from vedette_gateway.keys import ANYBODY, Callers
from vedette_gateway.problems import Problem

KEY = "vdt_right"
PROXY = "10.0.0.5"


def digest(key: str | bytes) -> str:
    return hashlib.sha256(key if isinstance(key, bytes) else key.encode()).hexdigest()


def gateway(**keys: CallerKey) -> Gateway:
    return Gateway(keys={name.replace("_", "-"): key for name, key in keys.items()})


def one(**limits: int) -> Gateway:
    return gateway(team_a=CallerKey(sha256=digest(KEY), **limits))


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def refused(callers: Callers, headers: dict[str, str], now: float = 0.0) -> Problem:
    with pytest.raises(Problem) as caught:
        callers.of(headers, PROXY, now)
    return caught.value


def test_without_keys_everybody_is_let_in() -> None:
    assert Callers(Gateway()).of({}, PROXY, 0.0).name == ANYBODY


@pytest.mark.parametrize(
    "headers",
    [bearer(KEY), {"authorization": f"bearer  {KEY} "}, {"api-key": KEY}],
)
def test_a_right_key_names_its_caller(headers: dict[str, str]) -> None:
    assert Callers(one()).of(headers, PROXY, 0.0).name == "team-a"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer(""),
        {"authorization": "Bearer"},
        {"authorization": f"Basic {KEY}"},
        {"api-key": ""},
        bearer(f"{KEY}x"),
        bearer(KEY.upper()),
        bearer(digest(KEY)),
        bearer("x" * 10_000),
        bearer("\xff\xfe"),
        bearer("\u20ac"),
    ],
)
def test_another_key_is_refused_in_words(headers: dict[str, str]) -> None:
    problem = refused(Callers(one()), headers)
    assert (problem.status, problem.code) == (401, "invalid_api_key")
    assert "Authorization: Bearer KEY" in problem.message
    assert KEY not in problem.message


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_bytes_of_a_key_count_as_they_were_sent(encoding: str) -> None:
    sent = "clé-privée".encode(encoding)
    callers = Callers(gateway(team_a=CallerKey(sha256=digest(sent))))
    assert callers.of(bearer(sent.decode("latin-1")), PROXY, 0.0).name == "team-a"


def test_wrong_keys_from_an_address_do_not_keep_right_ones_out() -> None:
    """A proxy, or a machine with one wrong client, has the address of every caller behind it."""
    callers = Callers(one())
    codes = [refused(callers, bearer(f"wrong-{number}")).code for number in range(50)]
    assert codes[0] == "invalid_api_key"
    assert codes[-1] == "too_many_wrong_keys"
    problem = refused(callers, bearer("wrong"))
    assert problem.status == 429
    assert problem.retry_after_s
    assert callers.of(bearer(KEY), PROXY, 0.0).name == "team-a"
    assert refused(callers, bearer("wrong"), now=60.0).code == "invalid_api_key"


def test_a_rate_is_kept_when_other_settings_change() -> None:
    callers = Callers(one(requests_per_minute=2))
    for _ in range(2):
        callers.of(bearer(KEY), PROXY, 0.0)
    assert refused(callers, bearer(KEY)).code == "rate_limit_exceeded"
    callers.reload(one(requests_per_minute=2, tokens_per_day=5))
    assert refused(callers, bearer(KEY)).code == "rate_limit_exceeded"
    callers.reload(one(requests_per_minute=3))
    assert callers.of(bearer(KEY), PROXY, 0.0).name == "team-a"


def test_a_key_that_was_removed_is_refused() -> None:
    callers = Callers(one())
    callers.reload(gateway(team_b=CallerKey(sha256=digest("other"))))
    assert refused(callers, bearer(KEY)).status == 401


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        (
            gateway(team_a=CallerKey(sha256=digest(KEY)), team_b=CallerKey(sha256=digest(KEY))),
            "keys.team-b.sha256",
        ),
        (gateway(team_a=CallerKey(sha256=digest(""))), "keys.team-a.sha256"),
        (gateway(team_a=CallerKey(sha256=KEY)), "keys.team-a.sha256"),
        (Gateway(keys={"Team A": CallerKey(sha256=digest(KEY))}), "keys.Team A"),
        (Gateway(keys={"a.b": CallerKey(sha256=digest(KEY))}), "keys.a.b"),
    ],
)
def test_keys_that_cannot_be_right_are_found_in_the_configuration(settings: Gateway, where: str) -> None:
    assert [key for key, _ in settings.problems()] == [where]
