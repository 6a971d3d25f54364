"""What an earlier ranking or list says about a request of another kind, while no recommender replies."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from samples import model_info
from vedette.messages.codec import encode
from vedette.messages.events import AsOf
from vedette.messages.queries import ModelsReply, ModelsRequest, ModelView, Recommendation, TopReply
from vedette.testing import EPOCH
from vedette.types import Capability, ModelRef, Price, Status
from vedette_gateway import nearest
from vedette_gateway.wanted import Wanted, read

NOW = AsOf(sequence=1, scored_at=EPOCH)
IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}]


def chat(**fields: Any) -> Wanted:
    body = {"model": "vedette/chat", "messages": [{"role": "user", "content": "hi"}], **fields}
    return read("chat/completions", json.dumps(body).encode(), ())


def asked(wanted: Wanted, use_case: str = "chat", *, caller: str = "me", limit: int = 4) -> bytes:
    return encode(wanted.recommendation(use_case, caller=caller, limit=limit, room=wanted.rooms[0]))


def model(name: str, **facts: Any) -> Recommendation:
    return Recommendation(
        **{
            "model": ModelRef.parse(name),
            "provider": "openai-compatible",
            "url": "http://h:1",
            "api": "openai",
            "score": 90.0,
            "raw_score": 90.0,
            "confidence": 1.0,
            "status": Status.AVAILABLE,
            **facts,
        }
    )


def ranked(*models: Recommendation) -> TopReply:
    return TopReply(use_case="chat", recommendations=models, considered=9, rejected={}, as_of=NOW)


SMALL = model("a/small", context_tokens=4096, output_tps=80.0, expected_ttft_ms=100.0)
FREE = Price(input_usd_per_mtok=0.0, output_usd_per_mtok=0.0, source="local")
LARGE = model(
    "b/large",
    context_tokens=131_072,
    output_tps=8.0,
    expected_ttft_ms=2000.0,
    price=Price(input_usd_per_mtok=1.0, output_usd_per_mtok=5.0, source="x"),
)
UNTOLD = model("c/untold", provider="ollama")
ALL = ranked(SMALL, LARGE, UNTOLD)


def names(reply: TopReply | None) -> list[str] | None:
    return None if reply is None else [str(one.model) for one in reply.recommendations]


@pytest.mark.parametrize(
    ("had", "wanted", "found"),
    [
        (chat(), chat(), ["a/small", "b/large", "c/untold"]),
        (chat(tools=[{}]), chat(), ["a/small", "b/large", "c/untold"]),
        (chat(), chat(tools=[{}]), None),
        (chat(tools=[{}]), chat(messages=IMAGE), None),
        (chat(), chat(max_tokens=8000), ["b/large", "c/untold"]),
        (chat(), chat(vedette={"min_context_tokens": 8000}), ["b/large"]),
        (chat(max_tokens=8000), chat(), ["a/small", "b/large", "c/untold"]),
        (chat(), chat(vedette={"session": "conversation-17"}), ["a/small", "b/large", "c/untold"]),
        (chat(), chat(vedette={"weights": {"speed": 3}}), ["a/small", "b/large", "c/untold"]),
        (chat(), chat(vedette={"max_ttft_ms": 500}), ["a/small"]),
        (chat(), chat(vedette={"max_ttft_ms": 500, "unmeasured": "keep"}), ["a/small", "c/untold"]),
        (chat(), chat(vedette={"min_output_tps": 500}), None),
        (chat(), chat(vedette={"max_price_usd_per_mtok": 5}), ["b/large"]),
        (chat(), chat(vedette={"max_price_usd_per_mtok": 4}), None),
        (chat(), chat(vedette={"endpoints": ["B"]}), ["b/large"]),
        (chat(), chat(vedette={"providers": ["ollama"]}), ["c/untold"]),
        (chat(), chat(vedette={"exclude": ["small", "c/untold"]}), ["b/large"]),
        (chat(vedette={"endpoints": ["b"]}), chat(), None),  # the caller may want others
        (chat(), chat(vedette={"locality": "local"}), None),
        (chat(vedette={"locality": "local"}), chat(), None),
        (chat(vedette={"locality": "local"}), chat(vedette={"locality": "local", "max_ttft_ms": 500}), ["a/small"]),
    ],
)  # fmt: skip
def test_an_earlier_ranking_is_narrowed_to_what_can_take_the_request(
    had: Wanted, wanted: Wanted, found: list[str] | None
) -> None:
    earlier = asked(had, caller="other", limit=20)
    assert names(nearest.ranking([(earlier, ALL)], asked(wanted))) == found
    assert nearest.ranking([(earlier, ALL)], asked(wanted, "reasoning")) is None


def test_a_ranking_of_models_that_may_lack_an_ability_is_none_for_a_caller_who_wants_it_known() -> None:
    tools: dict[str, Any] = {"tools": [{}]}
    may = [(asked(chat(**tools)), replace(ALL, unknown_capabilities=(Capability.TOOLS,)))]
    assert nearest.ranking(may, asked(chat(**tools)))
    assert nearest.ranking(may, asked(chat(**tools, vedette={"unknown_capabilities": "reject"}))) is None


def test_what_costs_nothing_is_within_any_price() -> None:
    local = ranked(replace(SMALL, price=FREE), LARGE)
    wanted = chat(vedette={"max_price_usd_per_mtok": 0.5})
    assert names(nearest.ranking([(asked(chat()), local)], asked(wanted))) == ["a/small"]


def test_a_ranking_by_the_same_weights_comes_before_another() -> None:
    fast = chat(vedette={"weights": {"speed": 3}})
    earlier = [(asked(chat()), ranked(LARGE, SMALL)), (asked(fast), ranked(SMALL, LARGE))]
    assert names(nearest.ranking(earlier, asked(fast))) == ["a/small", "b/large"]
    assert names(nearest.ranking(earlier[:1], asked(fast))) == ["b/large", "a/small"]


def test_a_ranking_without_a_model_that_can_take_it_is_passed_over() -> None:
    earlier = [(asked(chat()), ranked()), (asked(chat()), ranked(SMALL)), (asked(chat()), ranked(LARGE))]
    wanted = chat(vedette={"min_context_tokens": 8000})
    assert names(nearest.ranking(earlier, asked(wanted))) == ["b/large"]
    assert names(nearest.ranking(earlier, asked(chat(), limit=1))) == ["a/small"]


def test_a_name_is_looked_for_in_all_lists() -> None:
    views = [view("a/one"), view("b/two"), view("b/one")]
    lists = [
        (encode(ModelsRequest(limit=2)), listed(*views[:2])),
        (encode(ModelsRequest(offset=2)), listed(views[2])),
    ]
    found = nearest.models(lists, encode(ModelsRequest(text="one", limit=50)))
    assert found is not None
    assert [str(one.model) for one in found.models] == ["a/one", "b/one"]
    assert nearest.models(lists, encode(ModelsRequest(text="on"))) is None
    assert nearest.models(lists, encode(ModelsRequest(offset=3))) is None


def view(name: str) -> ModelView:
    info = model_info(ModelRef.parse(name))
    return ModelView(
        model=info.model,
        provider=info.provider,
        url=info.url,
        api=info.api,
        info=info,
        capabilities={},
        status=Status.AVAILABLE,
        stale=False,
        resident=None,
        availability=None,
        performance=None,
        found_at=None,
        revision=1,
    )


def listed(*views: ModelView) -> ModelsReply:
    return ModelsReply(models=views, total=3, as_of=NOW)
