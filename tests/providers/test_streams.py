"""Streams as servers really send them: by the specification of server-sent events, and beside it."""

import gzip
import json
from typing import Any

import pytest

from providers.conftest import opened
from providers.replay import Replay, reply, stream
from vedette.errors import ProviderError
from vedette.providers import Delta, Finished, Generation, ToolCall
from vedette.types import Outcome
from vedette_benchmarker.answered import Answered, whole


def chunk(delta: dict[str, Any], finish: str | None = None) -> str:
    """Return one event's data."""
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


HELLO, END = chunk({"content": "hello"}), chunk({}, "stop")


def events(*data: str, end: str = "\n\n") -> str:
    """Return *data* as server-sent events, up to `[DONE]`."""
    return "".join(f"data: {one}{end}" for one in (*data, "[DONE]"))


def named(*happened: dict[str, Any]) -> str:
    """Return events by their names, without `[DONE]`."""
    return "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in happened)


async def asked(
    replay: Replay,
    *,
    listed: tuple[str, ...] = ("m",),
    owner: str | None = None,
    provider: str = "openai-compatible",
    deadline_s: float = 30.0,
) -> tuple[Answered, list[Any]]:
    """Ask what *replay* serves; return the answer and the pieces that it came in. Raises ProviderError."""
    owned = {"owned_by": owner} if owner else {}
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": name, **owned} for name in listed]})
    replay.routes["GET", "/api/tags"] = reply(200, {"models": [{"name": name} for name in listed]})
    async with opened(provider, replay.url) as endpoint:
        await endpoint.list_models()
        request = Generation(model="m", prompt="x", max_tokens=16, deadline_s=deadline_s)
        items = [item async for item in endpoint.generate(request)]
    return whole(items), items


WHOLE = {
    "a keep-alive without data": "data:\n\n" + events(HELLO, END),
    "an event that is no JSON": "data: ping\n\n" + events(HELLO, END),
    "an event of several lines": "".join(
        f"data: {line}\n" for line in json.dumps(json.loads(HELLO), indent=1).split("\n")
    )
    + "\n"
    + events(END),
    "a byte-order mark": "\ufeff" + events(HELLO, END),
    "lines that end with CR": events(HELLO, END, end="\r\r"),
    "lines that end with CR LF": events(HELLO, END, end="\r\n\r\n"),
    "no empty line after an event": events(HELLO, END, end="\n"),
    "no blank after the colon": events(HELLO, END).replace("data: ", "data:"),
    "comments, ids and retries": ": ping\n\nid: 1\nretry: 3\nevent: message\n" + events(HELLO, END),
    "NaN in another field": events(HELLO[:-1] + ', "tps": NaN, "x": [-Infinity]}', END),
    "wrapped twice": events(HELLO, END).replace("data: ", "data: data: "),
    "an end in lower case, as JSON": (events(HELLO, END) * 2).replace("[DONE]", '"[done]"', 1),
    "another choice between": events(HELLO, HELLO.replace('"index": 0', '"index": 1'), END),
    "choices that begin with 1": events(HELLO, END).replace('"index": 0', '"index": 1'),
    "all said again at the end": events(
        HELLO, '{"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "hello"}}]}'
    ),
    "how far it is": events('{"status": "processing", "message": "the prompt is read"}', HELLO, END),
    "a code of success": events(
        '{"code": 0, "message": "ok"}', '{"code": "200", "message": "ok"}', HELLO, END
    ),
    "a message in place of a null delta": events(
        '{"choices": [{"index": 0, "delta": null, "message": {"content": "hello"}, "finish_reason": "stop"}]}'
    ),
    "a null message, an empty error": events(
        '{"choices": [{"index": 0, "delta": {"content": "hello"}, "message": null}],'
        ' "error": {"code": null, "message": ""}}',
        END,
    ),
    "no choices": events('{"choices": [], "usage": null}', '{"choices": null}', "{}", HELLO, END),
}


@pytest.mark.parametrize("case", WHOLE)
@pytest.mark.fault("a stream in any form that the specification allows, or servers send", "I13")
async def test_the_answer_is_whole(case: str, replay: Replay) -> None:
    """No event is lost, and nothing else becomes one."""
    replay.routes["POST", "/v1/chat/completions"] = reply(200, WHOLE[case].encode())
    answered, _ = await asked(replay)
    assert answered.text == "hello"
    assert answered.finished.reason == "stop"


async def test_usage_apart_from_the_answer_ends_it(replay: Replay) -> None:
    """Some gateways send neither finish_reason nor `[DONE]`."""
    usage = json.dumps({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}})
    replay.routes["POST", "/v1/chat/completions"] = reply(200, f"data: {HELLO}\n\ndata: {usage}\n\n")
    answered, _ = await asked(replay)
    assert (answered.text, answered.output_tokens) == ("hello", 1)


async def test_what_was_skipped_is_counted(replay: Replay) -> None:
    """So that a benchmark can say so."""
    replay.routes["POST", "/v1/chat/completions"] = reply(
        200, "data: ping\n\ndata: 7\n\n" + events(HELLO, END)
    )
    answered, _ = await asked(replay)
    assert answered.finished.skipped == 2


async def test_half_a_character_is_no_reason_to_fail(replay: Replay) -> None:
    """A proxy may cut the escapes of one character in two; what is published must be text."""
    cut = events(HELLO.replace("hello", r"\ud83c"), HELLO.replace("hello", r"\udf0a b"), END)
    replay.routes["POST", "/v1/chat/completions"] = reply(200, cut)
    answered, _ = await asked(replay)
    assert answered.text == "\ufffd\ufffd b"


THOUGHTS = {
    "reasoning": chunk({"reasoning": "hm"}),
    "reasoning_content": chunk({"reasoning_content": "hm"}),
    "both": chunk({"content": "", "reasoning": "hm", "reasoning_content": "hm"}),
    "reasoning_details": chunk({"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}),
    "reasoning_text": chunk({"reasoning_text": "hm"}),
    "reasoning as an object": chunk({"reasoning": {"text": "hm"}}),
    "thinking_blocks": chunk({"thinking_blocks": [{"type": "thinking", "thinking": "hm"}]}),
    "a list of parts": chunk(
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]}
    ),
}


@pytest.mark.parametrize("case", THOUGHTS)
async def test_thoughts_are_told_from_words(case: str, replay: Replay) -> None:
    """Servers give them one of six places; the same thought in two of them is one."""
    said = chunk({"content": [{"type": "text", "text": "hello"}]})
    replay.routes["POST", "/v1/chat/completions"] = reply(200, events(THOUGHTS[case], said, END))
    answered, items = await asked(replay)
    assert (answered.thinking, answered.text) == ("hm", "hello")
    assert isinstance(items[0], Delta)
    assert items[0].thinking == "hm"


FAILURES = {
    "the Responses API's failure, passed on": (
        events(
            '{"type": "response.failed", "response": {"status": "failed", "error": '
            '{"code": "server_is_overloaded", "message": "Our servers are overloaded."}}}'
        ),
        Outcome.BUSY,
        "Our servers are overloaded.",
    ),
    "an error in a choice": (
        events(
            HELLO,
            '{"choices": [{"delta": {}, "finish_reason": "error", "error": {"code": 502, "message": "gone away"}}]}',
        ),
        Outcome.SERVER_ERROR,
        "gone away",
    ),
    "a reason that names a failure": (
        events(chunk({}, "network_error")),
        Outcome.SERVER_ERROR,
        "network_error",
    ),
    "too few resources": (events(chunk({}, "insufficient_system_resource")), Outcome.BUSY, "insufficient"),
    "an object named error": (
        events('{"object": "error", "message": "engine died", "code": 500}'),
        Outcome.SERVER_ERROR,
        "engine died",
    ),
    "an event named error": (
        'event: error\ndata: {"message": "engine died"}\n\n',
        Outcome.SERVER_ERROR,
        "engine died",
    ),
    "a reason that is an object": (
        events(
            '{"choices": [{"index": 0, "delta": {}, "finish_reason": {"type": "abort", "message": "shut down",'
            ' "status_code": 503}}]}'
        ),
        Outcome.BUSY,
        "shut down",
    ),
    "a reason of being cancelled": (events(chunk({}, "cancelled")), Outcome.SERVER_ERROR, "cancelled"),
    "a status by another name": (
        events('{"error": {"message": "the input is too long", "http_status_code": 422}}'),
        Outcome.BAD_REQUEST,
        "too long",
    ),
    "too busy": (events('{"error": "Model too busy"}'), Outcome.BUSY, "too busy"),
    "events of the Responses API": (
        events('{"type": "response.output_text.delta", "delta": "hello"}'),
        Outcome.GARBAGE,
        "no choices",
    ),
    "events of Anthropic's API": (
        events('{"type": "content_block_delta", "delta": {"text": "hello"}}', '{"type": "message_stop"}'),
        Outcome.GARBAGE,
        "another protocol",
    ),
    "a whole stream of Anthropic's API": (
        named(
            {
                "type": "message_start",
                "message": {"model": "m", "usage": {"input_tokens": 3, "output_tokens": 1}},
            },
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "ping"},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
            {"type": "message_stop"},
        ),
        Outcome.GARBAGE,
        "another protocol",
    ),
    "a whole stream of the Responses API": (
        named(
            {"type": "response.created", "response": {"model": "m", "status": "in_progress", "usage": None}},
            {
                "type": "response.output_item.added",
                "output_index": 0,
                "item": {"type": "message", "content": []},
            },
            {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hi"},
            {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hi"},
            {
                "type": "response.completed",
                "response": {
                    "model": "m",
                    "status": "completed",
                    "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}],
                    "usage": {"input_tokens": 3, "output_tokens": 5, "total_tokens": 8},
                },
            },
        ),
        Outcome.GARBAGE,
        "another protocol",
    ),
    "a reason in capitals": (events(chunk({}, "ERROR")), Outcome.SERVER_ERROR, "ERROR"),
    "a list of errors": (events('{"errors": [{"message": "gone away"}]}'), Outcome.SERVER_ERROR, "gone away"),
    "an object of details": (
        events('{"detail": {"error": "engine died"}}'),
        Outcome.SERVER_ERROR,
        "engine died",
    ),
    "no success": (events('{"success": false, "message": "gone away"}'), Outcome.SERVER_ERROR, "gone away"),
    "a rate limit in mid-stream": (
        events('{"error": {"code": 429, "message": "failed", "metadata": {"raw": "limited upstream"}}}'),
        Outcome.RATE_LIMITED,
        "failed; limited upstream",
    ),
    "an error as a whole body": (
        json.dumps({"error": {"message": "no credits left", "code": 402}}, indent=2),
        Outcome.NO_CREDIT,
        "no credits left",
    ),
    "a login page": (
        "<!doctype html>\n<html><title>Sign in</title></html>",
        Outcome.GARBAGE,
        "an HTML page titled 'Sign in'",
    ),
    "nothing but junk": (events("ping", "pong"), Outcome.GARBAGE, "not JSON"),
    "plain words": (events("upstream request timeout"), Outcome.GARBAGE, "it says: upstream request timeout"),
    "a field named error": (
        'error: {"code": 400, "message": "larger than the context"}\n\n' + events(),
        Outcome.BAD_REQUEST,
        "larger than the context",
    ),
    "a status of its own": (
        events('{"choices": null, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}'),
        Outcome.NO_CREDIT,
        "insufficient balance",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
@pytest.mark.fault("a stream that reports its failure in one of many ways", "I13")
async def test_a_failure_is_told_in_the_servers_words(case: str, replay: Replay) -> None:
    """With status 200 all of them look like answers."""
    body, outcome, words = FAILURES[case]
    replay.routes["POST", "/v1/chat/completions"] = reply(200, body)
    with pytest.raises(ProviderError) as caught:
        await asked(replay)
    assert caught.value.outcome is outcome
    assert words in caught.value.detail


async def test_a_failure_in_a_stream_names_its_wait(replay: Replay) -> None:
    """It has no headers of its own."""
    error = {"error": {"message": "slow down. Please try again in 7s", "code": "429"}}
    replay.routes["POST", "/v1/chat/completions"] = reply(200, events(HELLO, json.dumps(error)))
    with pytest.raises(ProviderError) as caught:
        await asked(replay)
    assert (caught.value.outcome, caught.value.retry_after_s) == (Outcome.RATE_LIMITED, 7)


async def test_usage_of_zeros_replaces_none(replay: Replay) -> None:
    """Some gateways add one of their own to that of their upstream."""
    usages = (json.dumps({"usage": {"prompt_tokens": 3, "completion_tokens": n}}) for n in (7, 0))
    replay.routes["POST", "/v1/chat/completions"] = reply(200, events(HELLO, END, *usages))
    answered, _ = await asked(replay)
    assert answered.output_tokens == 7


async def test_what_is_marked_as_thought_is_no_word(replay: Replay) -> None:
    """Google's OpenAI endpoint marks it beside the text, and tags it in the text."""
    marked = chunk({"content": "<thought>hm", "extra_content": {"google": {"thought": True}}})
    replay.routes["POST", "/v1/chat/completions"] = reply(
        200, events(marked, chunk({"content": "</thought>hello"}), END)
    )
    answered, _ = await asked(replay)
    assert answered.text == "hello"


async def test_a_compressed_stream_may_have_members(replay: Replay) -> None:
    """RFC 1952: each flush of a proxy may begin a new one."""
    body = gzip.compress(events(HELLO).removesuffix("data: [DONE]\n\n").encode()) + gzip.compress(
        events(END).encode()
    )
    replay.routes["POST", "/v1/chat/completions"] = reply(200, body, Content_Encoding="gzip")
    answered, _ = await asked(replay)
    assert answered.text == "hello"


MESSAGE = {"type": "message", "content": [{"type": "text", "text": "hello"}], "stop_reason": "end_turn"}
TOOL = {"type": "tool_use", "name": "get_weather", "input": {"city": "Oslo"}}
MESSAGES = {
    "at once": [MESSAGE],
    "and said again at the end": [
        {"type": "message_start", "message": {"usage": {"input_tokens": 3}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "hel"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "lo"}},
        MESSAGE,
        {"type": "message_stop"},
    ],
    "and has no message_stop": [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hello"}},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": None},
    ],
}


@pytest.mark.parametrize("case", MESSAGES)
async def test_a_message_is_said_once(case: str, replay: Replay) -> None:
    """Gateways with Anthropic's API ignore `stream`, put text into the start of a block, or say all again."""
    replay.routes["POST", "/v1/messages"] = reply(200, events(*map(json.dumps, MESSAGES[case])))
    answered, _ = await asked(replay, provider="anthropic")
    assert answered.text == "hello"
    assert answered.finished.streamed is (case != "at once")


async def test_arguments_may_come_at_the_start_of_a_block(replay: Replay) -> None:
    """Gateways that have the whole call at once send no pieces of it."""
    start = {"type": "content_block_start", "index": 0, "content_block": TOOL}
    replay.routes["POST", "/v1/messages"] = reply(
        200, events(json.dumps(start), json.dumps({"type": "message_stop"}))
    )
    answered, _ = await asked(replay, provider="anthropic")
    assert answered.finished.tool_calls == (ToolCall(name="get_weather", arguments={"city": "Oslo"}),)


async def test_a_connection_that_drops_after_the_end_loses_nothing(replay: Replay) -> None:
    """Some servers and proxies drop it instead of ending the reply; before the end the answer is incomplete."""
    pieces = [line for one in (HELLO, END) for line in (f"data: {one}", "")]
    replay.routes["POST", "/v1/chat/completions"] = stream(*pieces, whole=False)
    answered, _ = await asked(replay)
    assert answered.text == "hello"
    replay.routes["POST", "/v1/chat/completions"] = stream(*pieces[:2], whole=False)
    with pytest.raises(ProviderError) as caught:
        await asked(replay)
    assert caught.value.outcome is Outcome.INCOMPLETE


@pytest.mark.parametrize("indent", [None, 2])
async def test_an_answer_that_is_not_streamed_is_an_answer(indent: int | None, replay: Replay) -> None:
    """It says so, because nothing but its end can be timed."""
    body = {
        "choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}],
        "usage": {"completion_tokens": 1},
    }
    replay.routes["POST", "/v1/chat/completions"] = reply(200, json.dumps(body, indent=indent))
    answered, _ = await asked(replay)
    assert answered.text == "hello"
    assert not answered.finished.streamed
    assert answered.finished.output_tokens == 1


def _call(city: object, **more: object) -> dict[str, Any]:
    return {"function": {"name": "get_weather", "arguments": city}, **more}


OSLO, RIGA = '{"city": "Oslo"}', '{"city": "Riga"}'
CALLS = {
    "by index": [[_call(OSLO, index=0), _call(RIGA, index=1)]],
    "ids that share an index": [[_call(OSLO, index=0, id="a")], [_call(RIGA, index=0, id="b")]],
    "neither": [[_call(OSLO), _call(RIGA)]],
    "a name in pieces, and again and empty": [
        [{"index": 0, "id": "a", "function": {"name": "", "arguments": ""}}],
        [{"index": 0, "id": "a", "function": {"name": "get_", "arguments": ""}}],
        [{"index": 0, "function": {"name": "weather"}}],
        [_call('{"city"', index=0, id="a")],
        [{"index": 0, "id": "", "function": {"name": "", "arguments": ': "Oslo"}'}}],
        [_call(RIGA, index=1, id="b")],
    ],
    "objects": [[_call({"city": "Oslo"}, index=0), _call({"city": "Riga"}, index=1)]],
    "in pieces": [
        [_call('{"city"', index=0, id="a")],
        [{"index": 0, "function": {"arguments": ': "Oslo"}'}}],
        [_call(RIGA, index=1, id="b")],
    ],
    "in pieces without an index": [
        [_call('{"city"', id="a")],
        [{"function": {"arguments": ': "Oslo"}'}}],
        [_call(RIGA, id="b")],
    ],
    "an empty object before the pieces": [
        [_call("{}", index=0, id="a")],
        [{"index": 0, "function": {"arguments": OSLO}}],
        [_call(RIGA, index=1, id="b")],
    ],
    "JSON in a JSON text": [[_call(json.dumps(OSLO), index=0), _call(json.dumps(RIGA), index=1)]],
    "whole ones that share an index and have no id": [
        [_call(OSLO, index=0, id="")],
        [_call(RIGA, index=0, id="")],
    ],
    "said again at the end": [
        [_call(OSLO, index=0, id="a"), _call(RIGA, index=1, id="b")],
        [_call(OSLO, index=0, id="a"), _call(RIGA, index=1, id="b")],
    ],
    "an id in each piece": [
        [_call('{"city"', id="a")],
        [_call(RIGA, id="b")],
        [{"id": "a", "function": {"arguments": ': "Oslo"}'}}],
    ],
}


@pytest.mark.parametrize("case", CALLS)
async def test_two_calls_are_two_calls(case: str, replay: Replay) -> None:
    """Servers name them by id, by index, or not at all."""
    pieces = [chunk({"tool_calls": calls}) for calls in CALLS[case]]
    replay.routes["POST", "/v1/chat/completions"] = reply(200, events(*pieces, chunk({}, "tool_calls")))
    answered, _ = await asked(replay)
    assert answered.finished.tool_calls == tuple(
        ToolCall(name="get_weather", arguments={"city": city}) for city in ("Oslo", "Riga")
    )


@pytest.mark.parametrize(
    ("named", "ok"), [("other", False), ("m-2024-08-06", True), ("/models/m.gguf", True), (None, True)]
)
@pytest.mark.fault("another model answers in place of the asked one", "I10")
async def test_the_answer_of_another_model_is_refused(named: str | None, ok: bool, replay: Replay) -> None:
    """A dated form of the name, and a name that is not listed, are the asked model."""
    said = json.dumps(json.loads(HELLO) | ({"model": named} if named else {}))
    replay.routes["POST", "/v1/chat/completions"] = reply(200, events(said, END))
    if ok:
        assert (await asked(replay, listed=("m", "other", "m-2024-08-06")))[0].text == "hello"
        return
    with pytest.raises(ProviderError, match="other replied instead of m"):
        await asked(replay, listed=("m", "other"))


USAGE = [
    ({"completion_tokens": 30, "completion_tokens_details": {"reasoning_tokens": 20}}, 30),
    (
        {
            "prompt_tokens": 5,
            "completion_tokens": 30,
            "total_tokens": 55,
            "completion_tokens_details": {"reasoning_tokens": 20},
        },
        50,
    ),
    ({"completion_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 100}}, 110),
    ({"completion_tokens": None, "output_tokens": 30}, 30),
    ({"completion_tokens": 20, "reasoning_tokens": 500}, 520),
]


CACHED: list[tuple[dict[str, Any], int | None]] = [
    ({"prompt_tokens_details": {"cached_tokens": 64}}, 64),
    ({"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}, 64),
    ({"cached_tokens": 64}, 64),
    ({"cache_read_input_tokens": 64}, 64),
    ({"prompt_tokens_details": {"cached_tokens": 0}, "cached_tokens": 64}, 0),
    ({"prompt_tokens_details": None}, None),
]


@pytest.mark.parametrize(("usage", "cached"), CACHED)
async def test_what_came_from_a_cache_is_found(
    usage: dict[str, Any], cached: int | None, replay: Replay
) -> None:
    """Servers count it in one of four places."""
    last = json.dumps({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 5, **usage}})
    replay.routes["POST", "/v1/chat/completions"] = reply(200, events(HELLO, END, last))
    answered, _ = await asked(replay)
    assert answered.finished.cached_tokens == cached


@pytest.mark.parametrize(("usage", "tokens"), USAGE)
async def test_thoughts_are_counted_once(usage: dict[str, Any], tokens: int, replay: Replay) -> None:
    """XAI counts them beside the tokens of the answer, others within."""
    last = json.dumps({"choices": [], "usage": usage})
    replay.routes["POST", "/v1/chat/completions"] = reply(200, events(HELLO, END, last))
    answered, _ = await asked(replay)
    assert answered.finished.output_tokens == tokens


def refusing(*parameters: str) -> Any:
    """Return a handler that refuses requests with one of *parameters*."""

    async def handle(exchange: Any, write: Any) -> None:
        for name in parameters:
            if name in exchange.body:
                message = f"Unsupported parameter: '{name}' is not supported with this model."
                await reply(400, {"error": {"message": message, "param": name}})(exchange, write)
                return
        await stream(*events(HELLO, END).split("\n"))(exchange, write)

    return handle


@pytest.mark.parametrize("refused", [("temperature",), ("max_tokens",), ("stream_options", "temperature")])
@pytest.mark.fault("a model refuses an optional parameter", "I10")
async def test_a_refused_parameter_is_left_out(refused: tuple[str, ...], replay: Replay) -> None:
    """It is learnt for the model: the next request is right at once."""
    replay.routes["POST", "/v1/chat/completions"] = refusing(*refused)
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m"}]})
    request = Generation(model="m", prompt="x", max_tokens=16, deadline_s=60.0)
    async with opened("openai-compatible", replay.url) as endpoint:
        for _ in range(2):
            items = [item async for item in endpoint.generate(request)]
            assert isinstance(items[-1], Finished)
    posts = [exchange.body for exchange in replay.requests if exchange.method == "POST"]
    assert len(posts) == len(refused) + 2
    assert not set(refused) & set(posts[-1])
    assert posts[-1].get("max_tokens", posts[-1].get("max_completion_tokens")) == 16


@pytest.mark.parametrize(
    "said",
    [
        "Unsupported value: 'stream' does not support true with this model. Supported values are: false.",
        "Your organization must be verified to stream this model.",
    ],
)
async def test_a_model_that_may_not_be_streamed_is_asked_without(said: str, replay: Replay) -> None:
    """It answers at once, and the next request is right."""
    whole_answer = {"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}

    async def handle(exchange: Any, write: Any) -> None:
        status, body = (
            (400, {"error": {"message": said}}) if exchange.body.get("stream") else (200, whole_answer)
        )
        await reply(status, body)(exchange, write)

    replay.routes["POST", "/v1/chat/completions"] = handle
    answered, _ = await asked(replay)
    assert (answered.text, answered.finished.streamed) == ("hello", False)
    assert "stream_options" not in replay.requests[-1].body


@pytest.mark.parametrize(
    "said",
    [
        "Invalid 'max_tokens': integer below minimum value. Expected a value >= 16, but got 1 instead.",
        "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
        "This model doesn't support tool use in streaming mode; max_tokens is above the limit",
    ],
)
async def test_a_limit_of_another_size_is_no_refused_parameter(said: str, replay: Replay) -> None:
    """The other name of it would be ignored by some servers, which then go on for minutes."""
    replay.routes["POST", "/v1/chat/completions"] = reply(400, {"error": {"message": said}})
    with pytest.raises(ProviderError):
        await asked(replay)
    assert len([1 for exchange in replay.requests if exchange.method == "POST"]) == 1


async def test_a_model_that_refuses_every_limit_fails(replay: Replay) -> None:
    """Without a limit it might write for hours."""
    replay.routes["POST", "/v1/chat/completions"] = refusing("max_tokens", "max_completion_tokens")
    with pytest.raises(ProviderError, match="max_") as caught:
        await asked(replay)
    assert caught.value.outcome is Outcome.BAD_REQUEST
    assert len([1 for exchange in replay.requests if exchange.method == "POST"]) == 3


@pytest.mark.parametrize("vector", [[None] * 3, [1.0, None], ["x"], [], [float("nan")]])
@pytest.mark.fault("vectors without numbers", "I13")
async def test_vectors_hold_numbers(vector: list[Any], replay: Replay) -> None:
    """A ranking by anything else would be a ranking by chance."""
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m"}]})
    replay.routes["POST", "/v1/embeddings"] = reply(200, {"data": [{"embedding": vector}]})
    async with opened("openai-compatible", replay.url) as endpoint:
        with pytest.raises(ProviderError) as caught:
            await endpoint.embed("m", ["a"])
    assert caught.value.outcome is Outcome.GARBAGE


async def test_vectors_are_ordered_by_their_index(replay: Replay) -> None:
    """They may come in another order."""
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m"}]})
    data = [{"index": place, "embedding": [float(place)]} for place in (2, 0, 1)]
    replay.routes["POST", "/v1/embeddings"] = reply(200, {"data": data})
    async with opened("openai-compatible", replay.url) as endpoint:
        embedded = await endpoint.embed("m", ["a", "b", "c"])
    assert embedded.values == [[0.0], [1.0], [2.0]]
