"""A model of unknown kind is no candidate for chat until a call has shown that it chats."""

from datetime import UTC, datetime

import msgspec
import pytest

from catalogues import Recommender, figure
from samples import lifecycle_event, model_info, probe_event, report_event
from vedette.messages import ids
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import Event, ModelBenchmarked, ModelVerified
from vedette.types import Capability, Claim, Evidence, ModelInfo, ModelRef, Outcome, Performance

AT = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
ACME = ModelRef("gw", "acme-9")
UNKNOWN = model_info(ACME, kind="unknown", locality="local")


def _claim(*, value: bool, evidence: Evidence = Evidence.INFERRED) -> dict[str, Claim]:
    return {Capability.CHAT: Claim(value=value, evidence=evidence, source="test")}


def found(info: ModelInfo = UNKNOWN) -> Event:
    """Return that the model was found as *info*."""
    return lifecycle_event("found", ACME, at=AT, info=info)


def probed() -> Event:
    """Return a probe that was answered."""
    event = probe_event(ACME, at=AT, job_id="p")
    return msgspec.structs.replace(event, health=msgspec.structs.replace(event.health, answered_at=AT))


def benchmarked(n: int = 6) -> Event:
    """Return a benchmark of *n* runs that went well."""
    performance = Performance(measured_at=AT, n=n, output_tps=figure(40.0) if n else None)
    return ModelBenchmarked(
        id=ids.derive(AT, "benchmarked"),
        at=AT,
        model=ACME,
        job_id="b",
        outcome=Outcome.OK if n else Outcome.BAD_REQUEST,
        performance=performance,
    )


def verified(*, value: bool) -> Event:
    """Return a capability check that shows whether the model chats."""
    claims = _claim(value=value, evidence=Evidence.VERIFIED)
    return ModelVerified(
        id=ids.derive(AT, "verified"), at=AT, model=ACME, job_id="v", outcome=Outcome.OK, claims=claims
    )


def known(*events: Event) -> ModelInfo:
    """Return what is known of the model after *events*."""
    state = Catalogue.of(enumerate(events, start=1)).get(ACME)
    assert state is not None
    assert state.known is not None
    return state.known


@pytest.mark.parametrize(
    "call", [probed(), benchmarked(), verified(value=True), report_event(ACME, at=AT)], ids=lambda e: e.TYPE
)
def test_an_answered_call_shows_that_a_model_of_unknown_kind_chats(call: Event) -> None:
    """Then it is a chat model, with all that any chat model can be asked to do."""
    info = known(found(), call)
    assert info.kind == "chat"
    assert info.capabilities[Capability.CHAT].value
    assert info.capabilities[Capability.SUMMARISATION].evidence is Evidence.INFERRED


@pytest.mark.parametrize("call", [benchmarked(0), verified(value=False)], ids=["failed", "disproved"])
def test_a_call_that_failed_shows_nothing(call: Event) -> None:
    """A listing does not either."""
    assert known(found()).kind == "unknown"
    assert known(found(), call).kind == "unknown"


def test_what_is_known_not_to_chat_does_not_become_a_chat_model() -> None:
    """A caller who has made speech with it reports a success too."""
    info = msgspec.structs.replace(UNKNOWN, capabilities=_claim(value=False))
    assert known(found(info), report_event(ACME, at=AT)).kind == "unknown"
    assert (info.asked_as, UNKNOWN.asked_as) == ("unknown", "chat")


def test_a_model_of_unknown_kind_is_no_candidate_until_a_call_shows_that_it_chats() -> None:
    """The explanation says so, and which command asks it."""
    recommender = Recommender(AT)
    recommender.hear((1, found()))
    told = recommender.told("recommend.explain", {"use_case": "chat"})
    assert told["rejected"] == {"capability_unknown": 1}
    assert told["rejections"][0]["value"] == "a model of unknown kind"
    assert told["summary"][-1] == (
        'gw/acme-9 is of unknown kind: no call has shown that it chats; "vedette verify gw/acme-9" asks.'
    )
    recommender.hear((2, benchmarked()))
    told = recommender.told("recommend.explain", {"use_case": "code_generation"})
    assert told["recommendations"][0]["model"] == {"endpoint": "gw", "name": "acme-9"}
    assert len(told["summary"]) == 2
