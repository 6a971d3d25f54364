"""What a request wants of a model, read from its bytes."""

import json
from typing import Any

import pytest

from vedette.errors import RequestError
from vedette.messages.queries import RecommendRequest
from vedette.types import Capability
from vedette_gateway.wanted import Target, Wanted, read

USER = [{"role": "user", "content": "hi"}]


def chat(**fields: Any) -> Wanted:
    body = {"model": "vedette/chat", "messages": USER, **fields}
    return read("chat/completions", json.dumps(body).encode(), ())


def asked(wanted: Wanted) -> RecommendRequest:
    return wanted.recommendation("chat", caller="me", limit=4, room=wanted.rooms[0])


@pytest.mark.parametrize(
    ("model", "target"),
    [
        ("vedette/chat", Target("use case", "chat")),
        ("vedette/auto", Target("auto")),
        ("auto", Target("auto")),
        ("gpu/qwen2.5:7b", Target("model", "gpu/qwen2.5:7b")),
        ("qwen2.5:7b", Target("name", "qwen2.5:7b")),
    ],
)
def test_a_model_names_a_target(model: str, target: Target) -> None:
    assert Target.parse(model) == target


@pytest.mark.parametrize(
    ("fields", "capabilities"),
    [
        ({}, {"chat"}),
        ({"tools": [{"type": "function"}]}, {"chat", "tools"}),
        ({"tools": [{"type": "function"}], "tool_choice": "none"}, {"chat"}),
        ({"tools": []}, {"chat"}),
        ({"tools": None}, {"chat"}),
        ({"functions": [{"name": "read"}]}, {"chat", "tools"}),
        ({"functions": [{"name": "read"}], "function_call": "none"}, {"chat"}),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, {"chat", "json_schema"}),
        ({"text": {"verbosity": "low"}}, {"chat"}),
        ({"input": [{"type": "reasoning"}, {"content": [{"type": "input_image"}]}]}, {"chat", "vision"}),
        (
            {"messages": [{"content": ["image_url"]}, {"content": [{"type": "image_url"}]}]},
            {"chat", "vision"},
        ),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, {"chat", "json_schema"}),
        ({"response_format": {"type": "json_object"}}, {"chat"}),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]}
                ]
            },
            {"chat", "vision"},
        ),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, {"chat", "audio"}),
        ({"messages": [{"role": "user", "content": 'say "image_url"'}]}, {"chat"}),
        ({"tools": "nonsense", "response_format": 7, "messages": "x"}, {"chat"}),
    ],
)
def test_a_request_implies_capabilities(fields: dict[str, Any], capabilities: set[str]) -> None:
    assert chat(**fields).capabilities == {Capability(one) for one in capabilities}


def test_embeddings_need_a_model_that_embeds() -> None:
    wanted = read("embeddings", b'{"model": "vedette/embedding", "input": "x"}', ())
    assert wanted.capabilities == {Capability.EMBEDDING}


def test_a_short_request_fits_every_model() -> None:
    assert asked(chat(max_tokens=100)).constraints.min_context_tokens is None


def test_a_long_request_needs_room_for_prompt_and_answer() -> None:
    """In steps, so that requests of about one length share a ranking; unknown contexts are kept."""
    one = asked(chat(messages=[{"role": "user", "content": "word " * 4000}], max_tokens=1000)).constraints
    other = asked(chat(messages=[{"role": "user", "content": "word " * 4010}], max_tokens=1000)).constraints
    assert one == other
    assert one.min_context_tokens is not None
    assert 6000 <= one.min_context_tokens <= 8192
    assert (one.unmeasured, one.unknown_capabilities) == ("keep", "keep")


def test_what_a_caller_limits_is_known_of_a_model() -> None:
    """A model without a known price is none for a caller who sets the highest price, however long the prompt is."""
    long = [{"role": "user", "content": "word " * 4000}]
    one = asked(chat(messages=long, vedette={"max_price_usd_per_mtok": 2})).constraints
    assert (one.unmeasured, one.unknown_capabilities) == ("reject", "keep")
    other = chat(vedette={"unknown_capabilities": "reject"})
    assert asked(other).constraints.unknown_capabilities == "reject"


@pytest.mark.parametrize("unlimited", [-1, 2**63, 10**30])
def test_a_limit_that_is_none_is_no_need(unlimited: int) -> None:
    """LM Studio and llama.cpp take -1 for it, others send the largest number they have."""
    wanted = chat(max_tokens=unlimited)
    assert wanted.recommendation("chat", caller="me", limit=4, room=wanted.rooms[-1]).capabilities
    assert asked(wanted).constraints.min_context_tokens in (None, 2**40)


def test_pictures_are_no_text() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 1_000_000}}
    assert chat(messages=[{"role": "user", "content": [picture]}]).tokens == 0
    text = {"type": "text", "text": "such a URL begins with data:;base64, " + "A" * 1_000_000}
    assert chat(messages=[{"role": "user", "content": [picture, text]}]).tokens > 0


def test_wishes_stand_in_headers() -> None:
    headers = (("x-vedette-max-ttft-ms", "800"), ("x-vedette-weight-speed", "2"), ("x-vedette-session", "s"))
    wanted = read(
        "chat/completions", json.dumps({"model": "vedette/chat", "messages": USER}).encode(), headers
    )
    request = asked(wanted)
    assert request.constraints.max_ttft_ms == 800
    assert request.weights == {"speed": 2.0}
    assert request.session == "s"


def test_the_conversation_of_a_client_is_the_session_unless_the_caller_names_one() -> None:
    derived = asked(chat(prompt_cache_key="c")).session
    assert derived is not None
    assert derived.startswith("s")
    assert asked(chat(prompt_cache_key="c", vedette={"session": "mine"})).session == "mine"
    assert asked(chat(user="me")).session is None


def test_wishes_stand_in_the_body_and_reach_no_server() -> None:
    wanted = chat(
        vedette={"locality": "local", "constraints": {"max_price_usd_per_mtok": 2}, "weights": {"speed": 2}}
    )
    request = asked(wanted)
    assert request.constraints.locality == "local"
    assert request.constraints.max_price_usd_per_mtok == 2
    assert request.weights == {"speed": 2.0}
    assert b"vedette" not in wanted.body("m")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"[]", "invalid_json"),
        (b'{"model": ', "invalid_json"),
        (b'{"messages": []}', "missing_field"),
        (b'{"model": 7}', "missing_field"),
        (b'{"model": "vedette/chat", "input": "hi"}', "missing_field"),
        (b'{"model": "vedette/chat", "vedette": 7}', "invalid_value"),
        (b'{"model": "vedette/chat", "vedette": {"constraints": "x"}}', "invalid_value"),
        (b'{"model": "vedette/chat", "vedette": {"constraints": [], "locality": "local"}}', "invalid_value"),
        (b'{"model": "vedette/chat", "vedette": {"capabilities": 5}}', "invalid_value"),
        (b'{"model": "vedette/chat", "vedette": {"capabilities": null}}', "invalid_value"),
        (b'{"model": "vedette/chat", "vedette": {"weights": {"speed": "nan"}}}', "invalid_value"),
        (b'{"model": "vedette/chat", "vedette": {"min_context_tokens": [1]}}', "invalid_value"),
        (b'{"model": "vedette/chat", "messages": "\xff"}', "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b'{"model": "m", "messages": ' + b"[" * 100_000, "invalid_json"),
        (b'{"model": "m", "temperature": NaN}', "invalid_json"),
        (b'{"model": "m"}{"model": "n"}', "invalid_json"),
    ],
)
def test_a_wrong_body_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        read("chat/completions", body, ())
    assert caught.value.code == code


def test_an_unknown_wish_is_named() -> None:
    with pytest.raises(RequestError, match='did you mean "locality"'):
        chat(vedette={"localty": "local"})
    headers = (("x-vedette-max-tfft-ms", "5"),)
    with pytest.raises(RequestError, match='did you mean "max_ttft_ms"'):
        read("chat/completions", b'{"model": "vedette/chat", "messages": []}', headers)


def test_a_wish_that_is_null_is_none() -> None:
    assert asked(chat(vedette=None)) == asked(chat(vedette={"constraints": None})) == asked(chat())


def test_every_other_field_is_passed_on_as_it_was_written() -> None:
    """Numbers, spaces and escapes within a field are the caller's."""
    body = b'{"model":"vedette/chat","temperature":0.10,"messages":[ {"role":"user","content":"\\u00e9"} ],"x":1e5}'
    sent = read("chat/completions", body, ()).body("m/1")
    assert (
        sent
        == b'{"model":"m/1","temperature":0.10,"messages":[ {"role":"user","content":"\\u00e9"} ],"x":1e5}'
    )


def test_of_two_models_a_server_gets_one_name() -> None:
    """A server that reads the first of two equal keys would else run another model than the one that was chosen."""
    one = read("chat/completions", b'{"model":"a/secret","messages":[],"model":"vedette/chat"}', ())
    assert one.target == Target("use case", "chat")
    assert one.body("m") == b'{"model":"m","messages":[]}'


@pytest.mark.parametrize("depth", range(900, 1100, 5))
def test_however_deep_a_field_is_it_is_read_or_refused(depth: int) -> None:
    body = b'{"model": "m", "input": [{"content": %s"input_image"%s}]}' % (b"[" * depth, b"]" * depth)
    codes = []
    try:
        assert read("responses", body, ()).capabilities == {Capability.CHAT}
    except RequestError as error:
        codes.append(error.code)
    assert codes in ([], ["invalid_json"])


def test_a_field_vedette_is_as_small_as_a_query() -> None:
    """It is taken apart, unlike the rest of a body."""
    many = {f"f{number}": 1 for number in range(10_000)}
    with pytest.raises(RequestError) as caught:
        chat(vedette=many)
    assert caught.value.code == "too_large"
