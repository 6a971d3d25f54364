"""A concurrency sweep: the throughput of an endpoint with 1, 2, 4, 8 concurrent streams."""

import asyncio
from collections.abc import Sequence
from random import Random

from msgspec import Struct

from vedette.clock import Clock
from vedette.errors import ProviderError
from vedette.providers import Delta, Endpoint
from vedette.types import ModelInfo, StreamsLoad
from vedette_benchmarker.load import Run, answer_figures, generation
from vedette_benchmarker.statistics import figure

GENERATING = ("chat", "completion")


class Stream(Struct, frozen=True, kw_only=True):
    """One stream of a sweep; `first_at` and `last_at` are its first and last token on the monotonic clock (s)."""

    tokens: int
    first_at: float
    last_at: float
    ttft_ms: float
    output_tps: float


async def at_once(
    streams: int, endpoint: Endpoint, info: ModelInfo, run: Run, *, rng: Random, clock: Clock
) -> StreamsLoad | None:
    """Run *run* in *streams* at once; return the figures of each and all together, or None if all failed."""

    async def ask() -> Stream | None:
        request, sent_at = generation(info, run, rng), clock.monotonic()
        try:
            items = [item async for item in endpoint.generate(request)]
            figures = answer_figures(sent_at, items)
        except ProviderError:
            return None  # counted as a failed stream
        times = [item.at for item in items if isinstance(item, Delta)]
        if figures.get("ttft_ms") is None or figures.get("output_tps") is None:
            return None
        return Stream(
            tokens=figures["output_tokens"],
            first_at=times[0],
            last_at=times[-1],
            ttft_ms=figures["ttft_ms"],
            output_tps=figures["output_tps"],
        )

    return load(streams, [one for one in await asyncio.gather(*(ask() for _ in range(streams))) if one])


def load(streams: int, answered: Sequence[Stream]) -> StreamsLoad | None:
    """Return the figures of the *streams* that *answered*. Pure.

    Throughput counts n - 1 tokens of each stream, as its own rate does, over the time from the first token of
    any to the last of any.
    """
    rates, waits = figure(s.output_tps for s in answered), figure(s.ttft_ms for s in answered)
    if rates is None or waits is None:
        return None
    took_s = max(s.last_at for s in answered) - min(s.first_at for s in answered)
    return StreamsLoad(
        streams=streams,
        throughput_tps=round(sum(s.tokens - 1 for s in answered) / took_s, 3),
        output_tps=rates,
        ttft_ms=waits,
        failures=streams - len(answered),
    )
