"""What is peculiar to the services that are paid for: prices, kinds, keys that are refused, tools, limits."""

import json
from typing import Any

import pytest

from providers import written
from providers.conftest import opened
from providers.replay import Replay, reply, stream
from vedette import providers
from vedette.errors import ProviderError
from vedette.providers import Described, Finished, Generation, Listing, Publishing, Tool
from vedette.providers._prices import price, with_unit_of_listing
from vedette.settings import parse
from vedette.types import Capability, Outcome, Percentiles

TOOL = Tool(name="weather", description="Tells the weather.", parameters={"type": "object", "properties": {}})
ASKED = {"type": "object", "properties": {"n": {"type": "integer"}}}
NAMES = {"anthropic": "claude-haiku-4-5", "gemini": "gemini-2.5-flash", "openai": "gpt-5-mini"}


async def _described(provider: str, replay: Replay, name: str) -> Described:
    async with opened(provider, replay.url) as endpoint:
        return await endpoint.describe(Listing(name=name))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gpt-5-mini", "chat"),
        ("gpt-5-pro", "unknown"),
        ("text-embedding-3-small", "embedding"),
        ("whisper-1", "unknown"),
        ("gpt-3.5-turbo-instruct", "completion"),
    ],
)
async def test_openai_tells_only_names(name: str, kind: str, replay: Replay) -> None:
    """What is for something else than text, or another API, is no candidate for a chat."""
    written.openai(replay)
    described = await _described("openai", replay, name)
    assert described.kind == kind
    chat = described.claims.get(Capability.CHAT)
    assert (chat is not None and not chat.value) is (kind == "unknown")


async def test_openai_is_asked_as_its_thinking_models_will_have_it(replay: Replay) -> None:
    """No `max_tokens`, no temperature: they answer 400 to both."""
    written.openai(replay)
    async with opened("openai", replay.url) as endpoint:
        _ = [i async for i in endpoint.generate(Generation(model="gpt-5-mini", prompt="x", max_tokens=7))]
    body = replay.requests[-1].body
    assert body["max_completion_tokens"] == 7
    assert not {"max_tokens", "temperature"} & body.keys()


@pytest.mark.parametrize(
    ("listed", "usd_per_mtok"),
    [
        ({"pricing": {"prompt": "0.0000025", "completion": "0.00001"}}, (2.5, 10)),
        ({"pricing": {"prompt": 0.1, "completion": 0.4}}, (0.1, 0.4)),
        ({"pricing": {"prompt": "$0.15", "completion": "$0.60"}}, (0.15, 0.6)),
        ({"pricing": {"input": 0, "output": 0}}, (0, 0)),
        ({"pricing": {"prompt": "-1", "completion": "-1"}}, None),
        ({"pricing": {"prompt": "0.15 for a million", "completion": True}}, None),
        ({"pricing": {"prompt": "0.000001"}}, None),
        ({"pricing": {"prompt": 2, "completion": 8, "currency": "CNY"}}, None),
        ({"pricing": {"image": "0.04"}}, None),
        ({"metadata": {"pricing": {"input_tokens": 0.2, "output_tokens": 0.6}}}, (0.2, 0.6)),
        ({"model_spec": {"pricing": {"input": {"usd": 0.5}, "output": {"usd": 2}}}}, (0.5, 2)),
        ({"input_price": 3e-6, "output_price": 1.5e-5}, (3, 15)),
        ({"cost": {"input": 3, "output": 15}}, (3, 15)),
        (
            {"providers": [{"pricing": {"input": 1, "output": 2}}, {"pricing": {"input": 3, "output": 1}}]},
            (3, 2),
        ),
        ({"providers": [{"pricing": {"input": 1, "output": 2}}, {"provider": "acme"}]}, None),
        ({"providers": [{"providers": [{"pricing": {"input": 1, "output": 2}}]}]}, None),
        ({"currency": "CNY", "providers": [{"pricing": {"input": 1, "output": 2}}]}, None),
        ({"currency": "CNY", "pricing": {"input": 1, "output": 2}}, None),
        ({"currency": "CNY", "pricing": {"input": 1, "output": 2, "currency": "USD"}}, (1, 2)),
        ({"currency": None, "pricing": {"input": 1, "output": 2}}, (1, 2)),
        ({"pricing": {"input": 0.0005, "output": 0.0005}}, None),
        ({"pricing": {"prompt": "0.0005", "completion": "0.0015"}}, None),
        ({"pricing": {"input": 0.03, "output": 0.06}}, None),
        ({"pricing": {"input": 0.03, "output": 0.06, "unit": "1M tokens"}}, (0.03, 0.06)),
        ({"pricing": {"input": "0.15", "output": "0.6", "unit": "1k"}}, (150, 600)),
        ({"pricing": {"input": 0.0005, "output": 0.0015, "unit": "per_1k_tokens"}}, (0.5, 1.5)),
        ({"pricing": {"input": 0.0005, "output": 0.0015, "per": 1000}}, (0.5, 1.5)),
        ({"price_unit": "USD per million tokens", "pricing": {"input": 0.01, "output": 0.02}}, (0.01, 0.02)),
        ({"pricing": {"input": 0.0002, "output": 0.0006, "unit": "token"}}, (200, 600)),
        ({"pricing": {"input": 0.15, "output": 0.6, "unit": "token"}}, None),
        ({"pricing": {"input": 1e-6, "output": 2e-6, "unit": "million"}}, None),
        ({"pricing": {"input": 0.15, "output": 0.6, "unit": "character"}}, None),
        ({"pricing": {"input": 0.15, "output": 0.6, "unit": "CNY / 1M tokens"}}, None),
        ({"pricing": {"input": 0.15, "output": 0.6, "unit": {"tokens": 1000}}}, None),
        ({"pricing": {"input": 0.15, "output": 0.6, "unit": "USD"}}, (0.15, 0.6)),
        ({"input_cost_per_token": 0.0002, "output_cost_per_token": 0.0006}, (200, 600)),
        ({"input_cost_per_token": 0.15, "output_cost_per_token": 0.6}, None),
        ({"pricing": {"input_per_1m": 0.05, "output_per_1m": 0.08}}, (0.05, 0.08)),
        ({"pricing": {"inputPerMillion": 0.05, "outputPerMillion": "0.08"}}, (0.05, 0.08)),
        ({"input_price_per_million_tokens": 0.02, "output_price_per_million_tokens": 0.03}, (0.02, 0.03)),
        ({"prompt_cost_per_1k": 0.0005, "completion_cost_per_1k": 0.0015}, (0.5, 1.5)),
        ({"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6, "input_cost_per_image": 0.1}, (1, 2)),
        ({"input_cost_per_character": 1e-6, "output_cost_per_character": 2e-6}, None),
        ({"input_cents_per_million": 15, "output_cents_per_million": 60}, None),
        ({"pricing": {"prompt": 1, "completion": 2, "unit": "per_1m_tokens"}}, (1, 2)),
        ({"pricing": {"prompt": "0.05", "completion": "0.08", "unit": "per_mtok"}}, (0.05, 0.08)),
        (
            {
                "pricing": {
                    "prompt": "3.00",
                    "completion": "12.00",
                    "unit": "per_1m_tokens",
                    "currency": "CNY",
                }
            },
            None,
        ),
    ],
)
def test_a_price_is_read_for_a_token_or_a_million(
    listed: dict[str, Any], usd_per_mtok: tuple[float, float] | None
) -> None:
    """Its unit says which, else its size. What is no price in USD for tokens in and out is none."""
    found = price(listed, "listing")
    assert (found and (found.input_usd_per_mtok, found.output_usd_per_mtok)) == usd_per_mtok


FOR_A_MILLION = [(0.15, 0.6), (3, 15), (0.02, 0.05), (0.01, 0.03), (0, 0)]
FOR_A_THOUSAND = [(0.03, 0.06), (0.0005, 0.0015), (0.06, 0.12), (0.001, 0.002)]
FOR_A_TOKEN = [(2.5e-6, 1e-5), (1.5e-4, 6e-4), (2e-8, 5e-8)]


@pytest.mark.parametrize(
    ("rates", "outputs"),
    [
        (FOR_A_MILLION, [0.6, 15, 0.05, 0.03, 0]),
        (FOR_A_THOUSAND, [60, 1.5, 120, 2]),
        (FOR_A_TOKEN, [10, 600, 0.05]),
        # Nothing but cheap models: for a thousand tokens they would be the dearest of all, or they are cheap.
        ([(0.05, 0.08), (0.02, 0.03)], [None, None]),
        ([(0.05, 0.08)], [None]),
        # One that is cheaper for a million tokens than any before says nothing of the unit, nor do its aliases.
        ([(0.2, 0.3), (0.002, 0.003)], [0.3, None]),
        ([(0.2, 0.3), (0.002, 0.003), (0.002, 0.003)], [0.3, None, None]),
        ([(0.0035, 0.004)], [None]),
        ([(0.05, 0.08), (0.0035, 0.004)], [None, None]),
        # Nor do two, among more that are for a million by their size.
        ([(0.2, 0.3), (0.4, 0.5), (0.6, 0.9), (0.002, 0.003), (0.001, 0.002)], [0.3, 0.5, 0.9, None, None]),
        # One of them is in another unit than the others: each by its own size alone.
        ([(0.15, 0.6), (2.5e-6, 1e-5), (0.03, 0.06)], [0.6, 10, None]),
        ([(3, 15), (0.0005, 0.0015)], [15, None]),
        ([(-1, -1), (0.3, 1.2), (0.04, 0.05)], [None, 1.2, 0.05]),
    ],
)
def test_prices_without_a_unit_have_that_of_their_listing(
    rates: list[tuple[float, float]], outputs: list[float | None]
) -> None:
    """0.05 may be for a thousand tokens or for a million; the other models show which, where they agree."""
    for name in ("input", "output"), ("prompt", "completion"):
        listed = [
            {"id": str(n), "pricing": dict(zip(name, rate, strict=True))} for n, rate in enumerate(rates)
        ]
        found = [price(entry, "listing") for entry in with_unit_of_listing(listed)]
        assert [one and one.output_usd_per_mtok for one in found] == outputs


def test_a_unit_that_is_stated_is_not_that_of_the_listing() -> None:
    """Nor does it say anything of the other prices."""
    stated = {"pricing": {"input": 0.0005, "output": 0.0015, "unit": "1k"}}
    providers = {
        "providers": [{"pricing": {"input": 0.02, "output": 0.04}}, {"pricing": {"input": 1, "output": 2}}]
    }
    listed = [stated, providers, {"pricing": {"input": 0.03, "output": 0.05}}, {"id": "free of charge"}]
    found = [price(entry, "listing") for entry in with_unit_of_listing(listed)]
    assert [one and one.output_usd_per_mtok for one in found] == [1.5, 2, 0.05, None]


def test_a_unit_in_names_that_cannot_be_is_none() -> None:
    """Novita writes 1/10,000 USD into `…_per_m`; one impossible price among many is that model's alone."""
    rates = [(200, 200), (40_000, 40_000), (2700, 11_200)]
    listed = [{"input_token_price_per_m": a, "output_token_price_per_m": b} for a, b in rates]
    assert [price(entry, "listing") for entry in with_unit_of_listing(listed)] == [None] * 3
    rates = [(0.2, 0.4)] * 4 + [(40_000, 40_000)]
    listed = [{"input_token_price_per_m": a, "output_token_price_per_m": b} for a, b in rates]
    found = [price(entry, "listing") for entry in with_unit_of_listing(listed)]
    assert [one and one.output_usd_per_mtok for one in found] == [0.4] * 4 + [None]


def test_a_unit_that_cannot_be_is_none_whatever_the_currency() -> None:
    """Wherever the listing names it: 200 USD for a million are no price among some of 40,000."""
    rates = [(200, 200), (40_000, 40_000), (2700, 11_200)]
    listed = [{"pricing": {"currency": "USD", "input_per_m": a, "output_per_m": b}} for a, b in rates]
    assert [price(entry, "listing") for entry in with_unit_of_listing(listed)] == [None] * 3


def test_a_placeholder_says_nothing_of_the_other_prices() -> None:
    """Nor do several that are alike."""
    rates = [(1, 1), (1, 1), (3e-6, 1.5e-5), (1e-6, 2e-6)]
    listed = [{"input_cost_per_token": a, "output_cost_per_token": b} for a, b in rates]
    for entries in (listed, listed[1:]):
        found = [price(entry, "listing") for entry in with_unit_of_listing(entries)]
        assert [one and one.output_usd_per_mtok for one in found][-3:] == [None, 15, 2]


async def test_openrouter_tells_its_prices(replay: Replay) -> None:
    """Dollars for a token become dollars for a million; a router, whose price depends, has none."""
    written.openrouter(replay)
    price = (await _described("openrouter", replay, "qwen/qwen3-coder")).price
    assert price is not None
    assert (price.input_usd_per_mtok, price.output_usd_per_mtok) == (0.22, 0.95)
    assert (await _described("openrouter", replay, "openrouter/auto")).price is None


async def test_together_tells_its_prices(replay: Replay) -> None:
    """Dollars for a million tokens, as they are."""
    written.together(replay)
    price = (await _described("together", replay, "Qwen/Qwen2.5-7B-Instruct-Turbo")).price
    assert price is not None
    assert (price.input_usd_per_mtok, price.output_usd_per_mtok) == (0.3, 0.3)


async def test_openrouter_publishes_how_its_upstreams_fare(replay: Replay) -> None:
    """One figure for each that was asked of late: percentages become fractions."""
    written.openrouter(replay)
    async with opened("openrouter", replay.url) as endpoint:
        assert isinstance(endpoint, Publishing)
        (figures,) = await endpoint.published(Listing(name="qwen/qwen3-coder"))
    assert (figures.source, figures.by, figures.uptime) == ("OpenRouter", "DeepInfra", 0.998)
    assert figures.ttft_ms == Percentiles(p50=420, p75=610, p90=980, p99=2100)
    assert figures.output_tps is not None
    assert figures.output_tps.p99 == 15.1


@pytest.mark.parametrize(
    "told",
    [[], {"data": []}, {"data": {"endpoints": ["x", {"latency_last_30m": [1]}, {"uptime_last_1d": "99"}]}}],
)
async def test_figures_that_cannot_be_read_are_none(told: Any, replay: Replay) -> None:
    replay.routes["GET", "/v1/models/m/endpoints"] = reply(200, told)
    async with opened("openrouter", replay.url) as endpoint:
        assert isinstance(endpoint, Publishing)
        assert await endpoint.published(Listing(name="m")) == ()


async def test_a_gemini_that_speaks_is_not_one_that_writes(replay: Replay) -> None:
    """It lists the method by which text is asked for, all the same."""
    written.gemini(replay)
    described = await _described("gemini", replay, "gemini-2.5-flash-preview-tts")
    assert described.kind == "unknown"
    assert not described.claims[Capability.CHAT].value


async def test_google_refuses_a_key_with_400(replay: Replay) -> None:
    """Which is a key that is wrong all the same, not a bad request."""
    message = "API key not valid. Please pass a valid API key."
    replay.otherwise = reply(400, {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}})
    async with opened("gemini", replay.url) as endpoint:
        with pytest.raises(ProviderError) as listed:
            await endpoint.list_models()
        with pytest.raises(ProviderError) as asked:
            _ = [i async for i in endpoint.generate(Generation(model="m", prompt="x", max_tokens=7))]
    assert (listed.value.outcome, asked.value.outcome) == (Outcome.AUTH_FAILED, Outcome.AUTH_FAILED)


@pytest.mark.parametrize(("status", "outcome"), [(529, Outcome.BUSY), (402, Outcome.NO_CREDIT)])
async def test_overload_and_empty_purses(status: int, outcome: Outcome, replay: Replay) -> None:
    replay.otherwise = reply(status, {"error": {"message": "no"}})
    async with opened("anthropic", replay.url) as endpoint:
        with pytest.raises(ProviderError) as caught:
            await endpoint.list_models()
    assert caught.value.outcome is outcome


async def test_an_overload_in_mid_stream_is_told_from_a_failure(replay: Replay) -> None:
    written.anthropic(replay)
    for kind, outcome in (("overloaded_error", Outcome.BUSY), ("api_error", Outcome.SERVER_ERROR)):
        error = {"type": "error", "error": {"type": kind, "message": "sorry"}}
        replay.routes["POST", "/v1/messages"] = stream(f"data: {json.dumps(error)}")
        async with opened("anthropic", replay.url) as endpoint:
            with pytest.raises(ProviderError, match="sorry") as caught:
                _ = [i async for i in endpoint.generate(_asking("claude-haiku-4-5"))]
        assert caught.value.outcome is outcome


def _asking(model: str) -> Generation:
    return Generation(
        model=model, prompt="x", max_tokens=7, tools=(TOOL,), schema=ASKED, image=b"png", deadline_s=60.0
    )


def _calls(*events: dict[str, Any]) -> Any:
    return stream(*(f"data: {json.dumps(event)}" for event in events))


async def test_anthropic_takes_and_gives_tools_its_own_way(replay: Replay) -> None:
    written.anthropic(replay)
    block = {"type": "tool_use", "id": "t", "name": "weather", "input": {}}
    piece = {"type": "content_block_delta", "index": 1}
    replay.routes["POST", "/v1/messages"] = _calls(
        {"type": "content_block_start", "index": 1, "content_block": block},
        piece | {"delta": {"type": "input_json_delta", "partial_json": '{"pla'}},
        piece | {"delta": {"type": "input_json_delta", "partial_json": 'ce": "Bonn"}'}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    )
    finished = await _finished("anthropic", replay)
    assert [(call.name, call.arguments) for call in finished.tool_calls] == [("weather", {"place": "Bonn"})]
    body = replay.requests[-1].body
    assert body["tools"] == [
        {"name": "weather", "description": TOOL.description, "input_schema": TOOL.parameters}
    ]
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": ASKED}}
    assert body["messages"][0]["content"][0]["source"]["data"] == "cG5n"
    assert "temperature" not in body


async def test_gemini_takes_and_gives_tools_its_own_way(replay: Replay) -> None:
    written.gemini(replay)
    thought = {"text": "Hm.", "thought": True}
    call = {"functionCall": {"name": "weather", "args": {"place": "Bonn"}}}
    replay.routes["POST", "/v1beta/models/gemini-2.5-flash:streamGenerateContent"] = _calls(
        {"candidates": [{"content": {"parts": [thought, call]}, "finishReason": "STOP"}]}
    )
    finished = await _finished("gemini", replay)
    assert [(call.name, call.arguments) for call in finished.tool_calls] == [("weather", {"place": "Bonn"})]
    body = replay.requests[-1].body
    assert body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == TOOL.parameters
    assert body["generationConfig"]["responseJsonSchema"] == ASKED
    assert body["contents"][0]["parts"][1]["inlineData"]["data"] == "cG5n"


async def _finished(provider: str, replay: Replay) -> Finished:
    async with opened(provider, replay.url) as endpoint:
        items = [item async for item in endpoint.generate(_asking(NAMES[provider]))]
    finished = items[-1]
    assert isinstance(finished, Finished)
    return finished


@pytest.mark.parametrize("provider", ["anthropic", "gemini"])
async def test_no_plain_text_is_continued(provider: str, replay: Replay) -> None:
    async with opened(provider, replay.url) as endpoint:
        with pytest.raises(ProviderError) as caught:
            _ = [
                i
                async for i in endpoint.generate(Generation(model="m", prompt="x", max_tokens=7, chat=False))
            ]
    assert caught.value.outcome is Outcome.UNSUPPORTED


async def test_what_runs_at_text_generation_inference_is_counted(replay: Replay) -> None:
    written.text_generation_inference(replay)
    async with opened("openai-compatible", replay.url) as endpoint:
        await endpoint.list_models()
        activity = await endpoint.activity()
    assert activity is not None
    assert (activity.requests, activity.generated_tokens) == (2, 4100)


@pytest.mark.parametrize("provider", ["anthropic", "gemini", "openai", "openrouter"])
def test_a_service_needs_no_url(provider: str) -> None:
    """Its provider knows it; one's own gateway in front of it is named all the same."""
    own = {"provider": provider, "url": "https://gateway.internal"}
    endpoints = parse({"endpoints": {"a": {"provider": provider}, "b": own}}, where="f", environ={}).endpoints
    assert endpoints["a"].url == providers.load(provider).home
    assert endpoints["b"].url == "https://gateway.internal"
