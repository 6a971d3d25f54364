"""A refusal that names the context that is served teaches it."""

import json
from pathlib import Path
from typing import Any

import pytest

from eventually import eventually
from providers.replay import Exchange, Replay, Write, replaying, reply
from providers.test_counting import WORDS
from vedette.providers._refusals import context_limit, in_stream
from vedette.runtime.nats_server import NatsServer
from vedette.types import Outcome
from whole import found

LIMIT = 256
VLLM = (
    "This model's maximum context length is 256 tokens. However, you requested 1128 tokens "
    "(1000 in the messages, 128 in the completion)."
)
SAID = {
    VLLM: 256,
    "The decoder prompt (length 600) is longer than the maximum model length of 4096.": 4096,
    "request (600 tokens) exceeds the available context size (512 tokens), try increasing it": 512,
    "Requested tokens (600) exceed context window of 512": 512,
    "The input (600 tokens) is longer than the model's context length (512 tokens).": 512,
    "Requested token count exceeds the model's maximum context length of 512 tokens.": 512,
    "the model is loaded with context length of only 4096 tokens": 4096,
    "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 and 128": 4096,
    "prompt is too long: 210000 tokens > 200000 maximum": 200_000,
    "The input token count (2000000) exceeds the maximum number of tokens allowed (1,048,576).": 1_048_576,
    "context length 600 exceeds the maximum context length of 512": 512,
    "Please reduce the length of the messages or completion. Current length is 9302 while limit is 8192": 8192,
    "total number of tokens in the prompt cannot exceed 4081 - received 4532.": 4081,
    "Invalid request: Your request exceeded model token limit: 262144 (requested: 281423)": 262_144,
    "Range of input length should be [1, 30720]": 30_720,
    "This model's maximum prompt length is 131072 but the request contains 209398 tokens.": 131_072,
    "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300013.": 272_000,
    "Prompt contains 40018 tokens, too large for model with 32768 maximum context length": 32_768,
    "`inputs` must have less than 512 tokens. Given: 600": 512,
    "input length and `max_tokens` exceed context limit: 190000 + 21333 > 200000, decrease": 200_000,
    "tokens to keep is greater than the context length (n_keep: 18076>= n_ctx: 4096).": 4096,
    "prompt token count of 150000 exceeds the limit of 128000": 128_000,
    "Prompt length 9000 is greater than max_seq_len 8192": 8192,
    "the context length is only 8192 tokens, resulting in a maximum input length of 7192 tokens.": 8192,
    "The maximum tokens you requested exceeds the model limit of 4096.": None,
    "this request would exceed the limit of 30,000 input tokens per minute": None,
    "the prompt has 3 images; it must not exceed 2000 pixels": None,
    "maximum context length is 5 tokens": None,
    "max_tokens must be <= 4096": None,
    "The input tokens cannot exceed 4096 tokens": 4096,
    "the context of the request must not exceed 8192": 8192,
    # Limits in other units.
    "The length of input text exceeds the limit of 20000 characters": None,
    "input length cannot exceed 4096 characters": None,
    "input tokens: the text cannot exceed 4096 characters": None,
    "Input array length must not exceed 2048": None,
    "Batch size in tokens of the input cannot exceed 16384": None,
    "input tokens exceeds the limit of 30000 TPM": None,
    "request exceeds the limit of 30000 input tokens a minute": None,
    "Your request's prompt tokens exceeds the rate limit of 40000": None,
    "The request's total tokens exceed the quota, whose limit is 60000": None,
    "Request body length must not exceed 4194304 bytes": None,
    "the context cannot exceed 2048 messages": None,
    "no context": None,
}


@pytest.mark.parametrize("said", SAID)
def test_what_servers_say_of_their_context(said: str) -> None:
    assert context_limit(Outcome.BAD_REQUEST, said) == SAID[said]
    error = in_stream({"error": {"message": said, "code": 400}})
    assert (error.outcome, error.context_tokens) == (Outcome.BAD_REQUEST, SAID[said])


def test_llama_cpp_says_it_in_a_field() -> None:
    error = {
        "code": 400,
        "message": "the request exceeds the available context size, try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 600,
        "n_ctx": 256,
    }
    body = json.dumps({"error": error}).encode()
    assert context_limit(Outcome.BAD_REQUEST, "the request exceeds the available context size", body) == 256


def test_a_limit_of_the_rate_is_no_context() -> None:
    """Whatever its words."""
    said = "Request too large: the input tokens exceeds the limit of 30000"
    assert context_limit(Outcome.RATE_LIMITED, said) is None
    assert in_stream({"error": {"message": said, "code": 429}}).context_tokens is None
    assert in_stream({"error": {"message": said, "code": 400}}).context_tokens == 30_000


def narrow(replay: Replay) -> list[int]:
    """Have *replay* be a vLLM that declares no context and serves 256 tokens, a word each; return what it refuses."""
    refused: list[int] = []
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m", "owned_by": "vllm"}]})

    async def chat(exchange: Exchange, write: Write) -> None:
        asked = sum(len(str(message["content"]).split()) for message in exchange.body["messages"])
        wanted = asked + (exchange.body.get("max_tokens") or exchange.body.get("max_completion_tokens") or 0)
        if wanted > LIMIT:
            refused.append(wanted)
        too_long = reply(400, {"object": "error", "message": VLLM, "code": 400})
        await (too_long if wanted > LIMIT else WORDS)(exchange, write)

    replay.routes["POST", "/v1/chat/completions"] = chat
    return refused


@pytest.mark.fault("a server serves a shorter context than the benchmark asks for", "I10")
async def test_the_next_benchmark_fits(server: NatsServer, tmp_path: Path) -> None:
    """The first is refused in part and is no failure; the second fits, and the context is shown with its source."""
    async with replaying() as replay:
        refused = narrow(replay)
        config = (
            "[benchmarking]\nruns = 1\noutput_tokens = 64\n"
            f'[endpoints.box]\nprovider = "openai-compatible"\nurl = "{replay.url}"\nevaluate = false\n'
        )
        async with found(config, server, tmp_path / "state") as running:
            await running.knows(1)

            async def learned() -> Any:
                (model,) = (await running.ask("models", "--json")).json()["models"]
                return model if model["info"].get("served_context_tokens") == LIMIT else None

            model = await eventually(learned, what="the context is known")
            assert model["performance"]["failures"] == 0
            assert model["info"]["sources"]["served_context_tokens"].startswith("a refusal of ")
            shown = (await running.ask("models")).out
            assert "box/m: context 256 by a refusal of " in shown
            assert "maximum context length is 256 tokens" in shown

            assert refused
            before = refused.copy(), len(replay.requests)
            assert (await running.ask("benchmark", "box/m")).code == 0
            assert refused == before[0]
            assert len(replay.requests) > before[1]
            (model,) = (await running.ask("models", "--json")).json()["models"]
            assert model["performance"]["failures"] == 0
            assert model["info"]["served_context_tokens"] == LIMIT
