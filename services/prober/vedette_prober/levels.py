"""The levels of a probe.

A probe of an unreachable endpoint has the level `reach`. A `describe` has the level `residency` if the server reports
which models are loaded.
"""

from collections.abc import Awaitable, Callable
from contextlib import aclosing

from vedette.errors import ProviderError
from vedette.providers import Delta, Endpoint, Generation, Listing
from vedette.types import Level, ModelInfo, Outcome
from vedette_prober.budget import answer_tokens

_PROMPT = "Reply with one word: ready"


async def listed(endpoint: Endpoint, entry: Listing, info: ModelInfo, timeout_s: float) -> None:
    """Add nothing: that the model is in the listing is already known."""


async def describe(endpoint: Endpoint, entry: Listing, info: ModelInfo, timeout_s: float) -> None:
    """Have the server describe the model, which loads nothing."""
    await endpoint.describe(entry)


async def answer(endpoint: Endpoint, entry: Listing, info: ModelInfo, timeout_s: float) -> None:
    """Have the model say something: the first token, of a thought or of the answer, is enough."""
    if info.kind == "embedding":
        await endpoint.embed(entry.name, [_PROMPT], deadline_s=timeout_s)
    elif info.kind == "rerank":
        await endpoint.rerank(entry.name, _PROMPT, ["ready", "not yet"], deadline_s=timeout_s)
    else:
        await _say(endpoint, entry, info, timeout_s)


async def _say(endpoint: Endpoint, entry: Listing, info: ModelInfo, timeout_s: float) -> None:
    request = Generation(
        model=entry.name,
        prompt=_PROMPT,
        max_tokens=answer_tokens(info),
        chat=info.asked_as == "chat",
        deadline_s=timeout_s,
    )
    # Closing the stream after the first token frees the server for others within a second.
    async with aclosing(endpoint.generate(request)) as stream:
        async for item in stream:
            if isinstance(item, Delta) or item.output_tokens:
                return  # tokens that the server keeps to itself, marks of thinking say, are signs of life too
    raise ProviderError(Outcome.INCOMPLETE, "it answered without a single token")


LEVELS: dict[Level, Callable[[Endpoint, Listing, ModelInfo, float], Awaitable[None]]] = {
    Level.LIST: listed,
    Level.DESCRIBE: describe,
    Level.ANSWER: answer,
}
