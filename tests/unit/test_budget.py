"""How deep a probe goes, and when."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samples import model_info
from vedette.endpoints.budget import charge
from vedette.settings import Budget, EndpointSettings
from vedette.types import Capability, Claim, Evidence, Level, ModelInfo, ModelRef, Residency, Use
from vedette_prober.budget import (
    ANSWER_TOKENS,
    THINKING_ANSWER_TOKENS,
    answer_tokens,
    deepest,
    described,
    jitter_s,
)
from vedette_prober.levels import LEVELS

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENDPOINT = EndpointSettings(url="http://h:1")
LOADED = Residency(resident=True, expires_at=NOW + timedelta(minutes=5))


def info(**facts: object) -> ModelInfo:
    return model_info(ModelRef("box", "m"), **{"kind": "chat", "locality": "local", "free": True} | facts)


def depth(
    about: ModelInfo,
    residency: Residency | None = LOADED,
    *,
    seen: Residency | None = None,
    **settings: object,
) -> Level:
    endpoint = msgspec.structs.replace(ENDPOINT, **settings)
    return deepest(
        about,
        residency=residency,
        seen=seen,
        endpoint=endpoint,
        ledger=None,
        now=NOW,
    )


@pytest.mark.parametrize("kind", ["chat", "completion", "embedding", "rerank"])
def test_only_a_loaded_model_is_asked(kind: str) -> None:
    """Not one that is not loaded, nor one whose time has run out, nor where nobody tells."""
    assert depth(info(kind=kind)) is Level.ANSWER
    gone = msgspec.structs.replace(LOADED, expires_at=NOW)
    for residency in (None, Residency(resident=False), gone):
        assert depth(info(kind=kind), residency) is Level.DESCRIBE


def test_a_model_that_nobody_else_uses_is_let_go() -> None:
    """Our own question would keep it loaded for ever; one that is loaded for good is asked all the same."""
    used = msgspec.structs.replace(LOADED, expires_at=NOW + timedelta(minutes=6))
    assert depth(info(), LOADED, seen=LOADED) is Level.DESCRIBE
    assert depth(info(), used, seen=LOADED) is Level.ANSWER
    assert depth(info(), LOADED, seen=Residency(resident=False)) is Level.ANSWER
    asked = msgspec.structs.replace(LOADED, expires_at=None)  # what our question has done, it did not tell
    assert depth(info(), LOADED, seen=asked) is Level.DESCRIBE
    for expires_at in (None, datetime(2319, 1, 1, tzinfo=UTC)):
        pinned = Residency(resident=True, expires_at=expires_at)
        assert depth(info(), pinned, seen=pinned) is Level.ANSWER


@pytest.mark.fault("a probe keeps a model loaded beyond its idle time", "I13")
def test_a_model_of_a_server_that_swaps_without_a_word_is_not_asked() -> None:
    """llama-swap begins the idle time anew at each question, and does not say when it ends."""
    swapped = Residency(resident=True, swaps=True)
    for seen in (None, swapped, Residency(resident=False)):
        assert depth(info(), swapped, seen=seen) is Level.DESCRIBE
    assert depth(info(), swapped, answer="always") is Level.ANSWER


def test_settings_and_locality_decide() -> None:
    """`always` asks in any case, `never` in none; what may cost money is asked only by `always`."""
    assert depth(info(), None, answer="always") is Level.ANSWER
    assert depth(info(), answer="never") is Level.DESCRIBE
    for free in (False, None):
        assert depth(info(free=free)) is Level.DESCRIBE
        assert depth(info(free=free), measure=True) is Level.ANSWER
        assert depth(info(free=free), answer="always") is Level.ANSWER
    assert depth(info(), measure=False) is Level.DESCRIBE
    assert depth(info(), measure=False, answer="always") is Level.DESCRIBE
    silent = Claim(value=False, evidence=Evidence.INFERRED, source="its name")
    speech = info(kind="unknown", capabilities={Capability.CHAT: silent})
    assert depth(speech, answer="always") is Level.DESCRIBE
    assert depth(info(kind="unknown"), answer="always") is Level.ANSWER


def test_a_budget_makes_probes_shallower_before_it_ends_them() -> None:
    """Tokens gone: describe; requests gone: the listing alone, which the contact has paid for."""
    tokens = msgspec.structs.replace(ENDPOINT, budget=Budget(tokens_per_day=100))
    requests = msgspec.structs.replace(ENDPOINT, budget=Budget(requests_per_day=10))
    ledger = charge(None, "probe", Use(requests=10, tokens=90), NOW)
    for endpoint, level in ((tokens, Level.DESCRIBE), (requests, Level.LIST)):
        found = deepest(info(), residency=LOADED, seen=None, endpoint=endpoint, ledger=ledger, now=NOW)
        assert found is level


@pytest.mark.parametrize(
    ("passed_on", "residency", "is_watched", "level"),
    [
        (None, None, False, Level.DESCRIBE),
        (None, Residency(resident=False), False, Level.RESIDENCY),
        ("LiteLLM passes requests on", None, False, Level.LIST),
        ("a peer of llama-swap serves it", Residency(resident=False), False, Level.LIST),
        ("LiteLLM passes requests on", None, True, Level.DESCRIBE),
    ],
)
def test_a_gateway_describes_no_more_than_it_lists(
    passed_on: str | None, residency: Residency | None, is_watched: bool, level: Level
) -> None:
    """Unless the server behind it is an endpoint too."""
    assert described(info(passed_on=passed_on), residency, is_watched=is_watched) is level


def test_thinking_models_get_room() -> None:
    claim = Claim(value=True, evidence=Evidence.DECLARED, source="test")
    assert answer_tokens(info()) == ANSWER_TOKENS
    assert answer_tokens(info(capabilities={"thinking": claim})) == THINKING_ANSWER_TOKENS
    assert answer_tokens(info(kind="embedding")) == 0


@given(endpoint=st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True), interval_s=st.floats(1, 1e6))
def test_jitter_is_bounded_and_the_same_for_every_replica(endpoint: str, interval_s: float) -> None:
    wait_s = jitter_s(endpoint, interval_s)
    assert 0 <= wait_s <= min(0.1 * interval_s, 30)
    assert wait_s == jitter_s(endpoint, interval_s)


def test_jitter_spreads_endpoints() -> None:
    """Fifty endpoints do not begin in the same second."""
    waits = {int(jitter_s(f"endpoint-{n}", 1800)) for n in range(50)}
    assert len(waits) > 15


def test_something_is_done_at_every_level() -> None:
    """`reach` is a probe that did not get there; `residency` is a description that says what is loaded."""
    assert LEVELS.keys() | {Level.REACH, Level.RESIDENCY} == {*Level}
