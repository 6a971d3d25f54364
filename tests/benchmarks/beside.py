"""A real llama.cpp that decodes for k others: which TTFT and output rate Vedette expects, and which a call then gets.

Vedette measures the server and reads its load each second. For each k, in turns: k clients decode answers that do not
end; once a reply shows them, its expectation is kept, and a call with a prompt like those of a benchmark is timed.
"""

import asyncio
import math
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from random import Random
from statistics import fmean

import httpx
from msgspec import Struct

from benchmarks.running import llama_cpp, say, vedette
from eventually import eventually
from vedette.client import Client
from vedette.messages.queries import Recommendation
from vedette_benchmarker.load import PROMPT_TOKENS, prompt

SLOTS = 4
_ANSWER_TOKENS = 32
_ENDLESS_TOKENS = 1900
_BEFORE = 0.4  # p of 0.4, for both figures, was expected of every server
_WITHIN_S = 600.0
_CONFIGURATION = """
[endpoints.box]
provider = "openai-compatible"
url = "{url}"
measure = true
evaluate = false
load = {{ every_s = 1 }}
"""
_STREAMED = {"stream": True, "ignore_eos": True, "cache_prompt": False}


class Seen(Struct, frozen=True, kw_only=True):
    """One call next to *others*: as measured at rest, as expected now, and as seen."""

    others: float
    ttft_ms: float
    output_tps: float
    expected_ttft_ms: float
    expected_output_tps: float
    seen_ttft_ms: float
    seen_output_tps: float


async def measure(directory: Path, threads: int, seconds: float) -> None:
    """Measure for *seconds* after the benchmark, and say what was found."""
    async with (
        llama_cpp(directory / "llama.log", slots=SLOTS, threads=threads) as llama,
        vedette(directory, _CONFIGURATION.format(url=llama.url)) as client,
    ):
        await eventually(partial(_is_measured, client), within_s=_WITHIN_S, what="the model is measured")
        found, began, rng = list[Seen](), time.monotonic(), Random()
        once = httpx.Limits(max_keepalive_connections=0)  # the server closes idle connections
        async with httpx.AsyncClient(base_url=llama.url, timeout=300, limits=once) as http:
            while time.monotonic() - began < seconds:
                found += [await _one(client, http, others, rng) for others in range(SLOTS)]
    for line in lines(found):
        say(line)


async def _is_measured(client: Client) -> bool:
    models = (await client.models()).models
    return bool(models) and all(model.performance for model in models)


async def _one(client: Client, http: httpx.AsyncClient, others: int, rng: Random) -> Seen:
    endless = [asyncio.create_task(_decode(http)) for _ in range(others)]
    shown = await eventually(partial(_shown, client, others), within_s=60, what=f"{others} others are shown")
    began, times = time.monotonic(), list[float]()
    asked = prompt(rng, PROMPT_TOKENS["short"], chat=True)
    body = {"messages": [{"role": "user", "content": asked}], "max_tokens": _ANSWER_TOKENS}
    async with http.stream("POST", "/v1/chat/completions", json=body | _STREAMED) as stream:
        times += [time.monotonic() async for line in stream.aiter_lines() if '"content":"' in line]
    for task in endless:
        task.cancel()
    await asyncio.gather(*endless, return_exceptions=True)
    output_tps = shown.output_tps or math.nan
    return Seen(
        others=others,
        ttft_ms=shown.ttft_ms or math.nan,
        output_tps=output_tps,
        expected_ttft_ms=shown.expected_ttft_ms or math.nan,
        expected_output_tps=shown.expected_output_tps or output_tps,  # absent: as at rest
        seen_ttft_ms=(times[0] - began) * 1000,
        seen_output_tps=(len(times) - 1) / (times[-1] - times[0]),
    )


async def _decode(http: httpx.AsyncClient) -> None:
    while True:
        body = {"prompt": "Count.", "max_tokens": _ENDLESS_TOKENS} | _STREAMED
        async with http.stream("POST", "/v1/completions", json=body) as stream:
            async for _ in stream.aiter_lines():
                pass


async def _shown(client: Client, others: int) -> Recommendation | None:
    """Return what a reply says of the model once it shows this number of *others*."""
    one = (await client.best("chat")).recommendation
    running = one.now.running if one is not None and one.now is not None else None
    return one if (running or 0) == others else None


def lines(found: list[Seen]) -> list[str]:
    """Return the table of docs/now.md: how many times slower calls next to others are, in the mean."""
    rest = _means(one for one in found if not one.others)
    rows = [
        f"At rest: TTFT {rest.ttft_ms:,.0f} ms as measured, {rest.seen_ttft_ms:,.0f} as seen; "
        f"{rest.output_tps:.1f} and {rest.seen_output_tps:.1f} tokens/s.",
        "| others | calls | TTFT, times that at rest: expected, seen | expected over seen | with p = 0.4 "
        "| tokens/s, times slower: expected, seen | expected over seen | with p = 0.4 |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for others in range(1, SLOTS):
        kept, before = _means(one for one in found if one.others == others), 1 + _BEFORE * others
        ttft, seen_ttft = kept.expected_ttft_ms / kept.ttft_ms, kept.seen_ttft_ms / rest.seen_ttft_ms
        slower, seen_slower = (
            kept.output_tps / kept.expected_output_tps,
            rest.seen_output_tps / kept.seen_output_tps,
        )
        calls = sum(one.others == others for one in found)
        rows.append(
            f"| {others} | {calls} | {ttft:.2f}, {seen_ttft:.2f} | {ttft / seen_ttft:.2f} "
            f"| {before / seen_ttft:.2f} | {slower:.2f}, {seen_slower:.2f} | {seen_slower / slower:.2f} "
            f"| {seen_slower / before:.2f} |"
        )
    return rows


def _means(calls: Iterable[Seen]) -> Seen:
    kept = list(calls)
    return Seen(**{name: fmean(getattr(one, name) for one in kept) for name in Seen.__struct_fields__})
