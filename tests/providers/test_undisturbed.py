"""Servers that a request disturbs: what is asked of them, and what is not."""

import msgspec
import pytest

from providers.conftest import opened
from providers.replay import Handler, Replay, hang, reply
from samples import model_info
from vedette.clock import SystemClock
from vedette.endpoints import OpenEndpoint, open_endpoints, spending
from vedette.endpoints.contact import after
from vedette.errors import ProviderError
from vedette.settings import EndpointSettings, Settings
from vedette.types import EndpointState, Listed, ModelRef, Outcome

# Of llama-cpp-python 0.3.36, recorded; its document without the paths.
LISTING = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "me", "permissions": []}]}
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "🦙 llama.cpp Python API", "version": "0.3.36"},
    "paths": {},
}


def llama_cpp_python(replay: Replay) -> EndpointSettings:
    replay.routes["GET", "/v1/models"] = reply(200, LISTING)
    replay.routes["GET", "/openapi.json"] = reply(200, DOCUMENT)
    return EndpointSettings(url=replay.url, provider="openai-compatible")


async def probed(endpoint: OpenEndpoint, known: EndpointState | None) -> EndpointState:
    """Return the endpoint's state after one contact that may use what is *known*."""
    clock = SystemClock()
    contact = await endpoint.contact(known)
    state = after(known, endpoint=endpoint.settings, contact=contact, now=clock.now(), purpose="probe")
    listed = tuple(Listed(name=one.name) for one in contact.listing or ())
    return msgspec.structs.replace(state, listing=listed or state.listing)


def listings(replay: Replay) -> int:
    return [request.path for request in replay.requests].count("/v1/models")


@pytest.mark.fault(
    "llama-cpp-python ends a running answer when it is asked for its models",
    "I13",
    without=("vedette.endpoints:OpenEndpoint._recalled", lambda *_: _nothing()),
)
async def test_a_server_that_a_listing_disturbs_is_listed_once(replay: Replay) -> None:
    """Then a path that takes no lock shows whether it is there."""
    settings = llama_cpp_python(replay)
    async with open_endpoints(Settings(endpoints={"lcp": settings}), clock=SystemClock()) as endpoints:
        endpoint = next(iter(endpoints))
        state = await probed(endpoint, None)
        for _ in range(5):
            state = await probed(endpoint, state)
        assert (state.outcome, state.server, state.server_version) == (
            Outcome.OK,
            "llama-cpp-python",
            "0.3.36",
        )
        assert listings(replay) == 1


async def _nothing() -> None:
    return None


@pytest.mark.parametrize("document", [reply(404, {}), reply(200, {"info": {"title": "vLLM"}})])
async def test_another_server_at_its_address_is_listed(document: Handler, replay: Replay) -> None:
    """Its port may have been taken."""
    settings = llama_cpp_python(replay)
    async with open_endpoints(Settings(endpoints={"lcp": settings}), clock=SystemClock()) as endpoints:
        endpoint = next(iter(endpoints))
        state = await probed(endpoint, None)
        replay.routes["GET", "/openapi.json"] = document
        replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "other", "owned_by": "vllm"}]})
        contact = await endpoint.contact(state)
    assert [one.name for one in contact.listing or ()] == ["other"]


async def test_after_it_was_away_it_is_listed_again(replay: Replay) -> None:
    """It may have been started with another model."""
    settings = llama_cpp_python(replay)
    async with open_endpoints(Settings(endpoints={"lcp": settings}), clock=SystemClock()) as endpoints:
        endpoint = next(iter(endpoints))
        state = await probed(endpoint, None)
        await probed(endpoint, msgspec.structs.replace(state, outcome=Outcome.REFUSED))
    assert listings(replay) == 2


@pytest.mark.fault("llama-cpp-python does not list while it computes", "I13")
async def test_a_server_that_lists_nothing_while_it_computes_is_busy(replay: Replay) -> None:
    """It is not down: a path that takes no lock responds."""
    llama_cpp_python(replay)
    replay.routes["GET", "/v1/models"] = hang
    outcomes = []
    for timeout_s in (
        0.3,
        3.0,
        30.0,
    ):  # on a busy machine the other path, too, may take longer than the first
        async with opened("openai-compatible", replay.url, timeout_s=timeout_s) as endpoint:
            with pytest.raises(ProviderError) as failed:
                await endpoint.list_models()
        outcomes.append(failed.value.outcome)
        if outcomes[-1] is Outcome.BUSY:
            break
    assert outcomes[-1] is Outcome.BUSY, outcomes


async def test_a_server_of_another_kind_that_lists_nothing_is_not(replay: Replay) -> None:
    """A timeout stays one."""
    replay.routes["GET", "/v1/models"] = hang
    async with opened("openai-compatible", replay.url, timeout_s=0.3) as endpoint:
        with pytest.raises(ProviderError) as failed:
            await endpoint.list_models()
    assert failed.value.outcome is Outcome.TIMEOUT


@pytest.mark.fault(
    "a measurement breaks off the answer of another caller",
    "I13",
    without=("vedette.endpoints.spending:why_not", lambda *_: None),
)
async def test_its_models_are_measured_only_with_leave(replay: Replay) -> None:
    """Free they are; a call harms others, though."""
    settings = llama_cpp_python(replay)
    async with opened("openai-compatible", replay.url) as endpoint:
        (entry,) = await endpoint.list_models()
        described = await endpoint.describe(entry)
    info = model_info(ModelRef("lcp", "m"), **described.facts)
    assert info.free
    assert "interrupt_requests" in (spending.why_not(info, settings) or "")
    assert spending.why_not(info, msgspec.structs.replace(settings, measure=True)) is None
