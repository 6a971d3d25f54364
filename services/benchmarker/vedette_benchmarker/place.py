"""The place of a measured model in the memory of a server, which another model may take.

One rule: before each request of a measurement, and while a request waits, Vedette reads the loaded models. If another
model replaced the measured one, the measurement ends, because its next request would unload that model.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Final

from msgspec import Struct

from vedette.clock import Clock
from vedette.endpoints import OpenEndpoint
from vedette.endpoints.own import SETTLES_S
from vedette.errors import ProviderError
from vedette.providers import (
    Activity,
    Delta,
    Described,
    Embedded,
    Endpoint,
    Finished,
    Generation,
    Listing,
    Reranked,
    Server,
)
from vedette.providers.counting import Sent
from vedette.types import Outcome, Residency
from vedette_benchmarker.yielding import (
    DEFER,
    LOOK_EVERY_S,
    RECOUNTS_S,
    SLACK,
    GaveWay,
    Loaded,
    Turn,
    is_same,
    other_use,
    require_turn,
    without_marks,
)

# A waiting request of another user starts when ours ends; it is visible after this time.
_BEGINS_S: Final = 0.1
# A request may have met a swap. After it was sent, looks start with this interval, which then grows.
_TICK_S: Final = 0.1
# The loaded models can be read a moment later. After other failures the request itself shows the state.
_UNSURE: Final = frozenset(
    {Outcome.TIMEOUT, Outcome.LOADING, Outcome.BUSY, Outcome.SERVER_ERROR, Outcome.RESET}
)
_KNOWN_WITHIN_S: Final = 15.0
# Ollama 0.12 lists a model only after its runner has started: 2 to 10 s after the request [server/sched.go, load].
_SHOWS_AFTER_S: Final = (2.0,) * 14

Sleep = Callable[[float], Awaitable[None]]


def is_lost(before: Loaded, now: Loaded, names: Collection[str]) -> bool | None:
    """Return whether another model replaced the one with these *names* between two looks. Pure.

    None if no model is loaded now: a server that swaps models unloads the one before it loads the other.
    """
    if any(name in now for name in names):
        return False
    if any(name not in before for name in now):
        return True
    if not any(name in before for name in names):
        return False  # not loaded yet
    return True if now else None


class Looks(Struct, frozen=True):
    """The results of earlier looks at a server's work."""

    before: Activity | None = None
    at: float = 0.0  # monotonic seconds of `before`
    suspected: bool = False

    def then(
        self, seen: Activity, *, at: float, names: Collection[str], ours: int, ended_at: float | None
    ) -> tuple["Looks", str | None]:
        """Return the looks with *seen*, begun *at*, and what another user did since the last look, or None. Pure.

        *ours*: the number of Vedette's own requests meanwhile; the last one *ended_at*. A look may count a request that
        ends and the next one that begins. So a count of requests is certain only after a second look.
        """
        since = at if self.before is None else self.at
        ended = ended_at is not None and ended_at > since - SETTLES_S
        why = other_use(self.before, seen, names=names, ours=max(ours, 1), ours_ended=ended)
        certain = why if self.suspected or seen.requests is None else None
        if ended or self.before is None:
            return Looks(seen, at, why is not None), certain
        return Looks(self.before, self.at, why is not None), certain


class Place:
    """The place of the model with these *names*, while *sent* counts Vedette's requests to it.

    *loaded* are the models that were loaded before, or None if the server does not report them.
    """

    def __init__(
        self,
        endpoint: OpenEndpoint,
        names: Collection[str],
        sent: Sent,
        clock: Clock,
        *,
        loaded: Loaded | None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._endpoint = endpoint
        self._names = names
        self._sent = sent
        self._clock = clock
        self._loaded = loaded
        self._sleep = sleep
        self._counts = True  # whether the server reports its requests, or the last use of models
        self._empties = False  # whether the server unloads our model at once, even if no other model comes

    async def turn(self) -> None:
        """Return when a request of Vedette unloads no model of a user. Raises GaveWay.

        While another request of Vedette runs, the server cannot unload the measured model.
        """
        ended_at = self._sent.ended_at
        if self._sent.in_flight:
            return
        if ended_at is not None:
            if self._loaded is not None:
                await self._sleep(max(0.0, ended_at + _BEGINS_S - self._clock.monotonic()))
            await require_turn(self._endpoint.endpoint)
        await self._require_place()

    async def _require_place(self) -> None:
        """Return if the model is loaded, or no model is. Raises GaveWay, also if the loaded models are unknown.

        A place that is empty is watched once for as long as a load of another takes to show.
        """
        failures = 0
        for wait_s in RECOUNTS_S if self._empties else (*RECOUNTS_S, *_SHOWS_AFTER_S):
            if self._loaded is None:
                return
            await self._sleep(wait_s)
            try:
                async with asyncio.timeout(_KNOWN_WITHIN_S):
                    lost = await self._lost_since(self._loaded)
            except (ProviderError, TimeoutError) as error:
                outcome = error.outcome if isinstance(error, ProviderError) else Outcome.TIMEOUT
                if outcome not in _UNSURE:
                    return
                failures += 1
                if failures == len(RECOUNTS_S) or isinstance(error, TimeoutError):
                    raise _unknown(outcome) from None
                continue
            if lost:
                raise _pushed_out()
            if lost is False:
                return
        self._loaded, self._empties = {}, True

    async def _lost_since(self, before: Loaded) -> bool | None:
        """Return `is_lost` since *before*, and remember what is loaded where it is not. Raises ProviderError.

        A model that was unloaded before its time made room for another, which may not show yet.
        """
        held = await self._endpoint.endpoint.resident()
        is_first = self._sent.ended_at is None
        if held is None or (is_first and held and not any(map(_may_go, held.values()))):
            self._loaded = None
            return False
        now = self._held(held, before)
        lost = is_lost(before, now, self._names)
        if lost is False:
            self._loaded = now
        if lost is None and any(self._is_early(before[name]) for name in self._names if name in before):
            return True
        return lost

    def _is_early(self, unloads_at: datetime | None) -> bool:
        """Return whether *unloads_at* is still ahead, by more than the imprecision of servers' clocks."""
        return unloads_at is not None and unloads_at - self._clock.now() > SLACK

    def _held(self, held: Mapping[str, Residency], before: Loaded) -> Loaded:
        """Return the models that have a place at a look after *before*.

        While a request runs, Ollama keeps the unload time that was set before the request, even after that time. If
        it sets a new unload time that is already over, it will unload the model when its request ends: the model is
        in use, but ours has lost its place. At the first look at our model there is another possible reason: the
        server unloads every model at once (`OLLAMA_KEEP_ALIVE=0`). The look after its request shows which reason
        applies.
        """
        now = self._clock.now()
        return {
            name: one.expires_at
            for name, one in held.items()
            if one.resident
            and (
                name not in self._names
                or name not in before
                or one.is_resident(now)
                or (one.expires_at is not None and is_same(one.expires_at, before.get(name)))
            )
        }

    async def until_used(self) -> GaveWay:
        """Return another user's activity at the server while requests of Vedette run.

        Before the first request nothing is read: that would wake a server that sleeps.
        """
        looks, looked_at, read_at = Looks(), self._clock.monotonic(), self._clock.monotonic()
        while True:
            await self._sleep(_TICK_S)
            now, began_at = self._clock.monotonic(), self._sent.began_at
            if began_at is None:
                continue
            # Between two requests, `turn` looks: an empty place is no swap then.
            if self._sent.in_flight and now - looked_at >= min(
                LOOK_EVERY_S, max(_TICK_S, (now - began_at) / 2)
            ):
                looked_at = now
                if self._loaded is not None and await self._is_taken(self._loaded, began_at):
                    return _pushed_out()
            if self._counts and now - read_at >= LOOK_EVERY_S:
                read_at = now
                looks, why = await self._read(looks, now)
                if why:
                    return GaveWay(why)

    async def _read(self, looks: Looks, now: float) -> tuple[Looks, str | None]:
        """Return *looks* with the server's work at *now*, and another user's activity. A failed look shows nothing."""
        ours = self._sent.in_flight
        try:
            seen = await self._endpoint.endpoint.activity()
        except ProviderError:
            return looks, None
        if seen is None:
            self._counts = False
            return looks, None
        ended_at = self._sent.ended_at
        if ended_at is None:
            seen = without_marks(seen, self._names)
        ours = max(ours, self._sent.in_flight)
        return looks.then(seen, at=now, names=self._names, ours=ours, ended_at=ended_at)

    async def _is_taken(self, before: Loaded, began_at: float) -> bool:
        """Return whether the model lost its place while the request that began at *began_at* waits.

        A failed look is repeated soon. An empty place after the end of the request is not a swap.
        """
        try:
            lost = await self._lost_since(before)
        except ProviderError:
            return False
        waits = self._sent.in_flight > 0 and self._sent.began_at == began_at
        return lost is True or (lost is None and waits)


def _may_go(one: Residency) -> bool:
    """Return whether the server may unload this model, for another one or by itself."""
    return one.swaps or one.expires_at is not None


def _unknown(outcome: Outcome) -> GaveWay:
    return GaveWay(f"what is loaded is not known ({outcome})")


def _pushed_out() -> GaveWay:
    return GaveWay("another model is in use", wait=DEFER)


class InTurn:
    """An endpoint where each request to a model first awaits its *turn*, which may raise GaveWay."""

    def __init__(self, endpoint: Endpoint, turn: Turn) -> None:
        self.features = endpoint.features
        self._endpoint = endpoint
        self._turn = turn

    async def reach(self) -> Server:
        """Return product and version of the server."""
        return await self._endpoint.reach()

    async def list_models(self) -> list[Listing]:
        """Return all models the endpoint lists."""
        return await self._endpoint.list_models()

    async def describe(self, model: Listing) -> Described:
        """Return the server's declaration of *model*."""
        return await self._endpoint.describe(model)

    async def resident(self) -> Mapping[str, Residency] | None:
        """Return residency by model name."""
        return await self._endpoint.resident()

    async def activity(self) -> Activity | None:
        """Return the endpoint's activity."""
        return await self._endpoint.activity()

    async def generate(self, request: Generation) -> AsyncGenerator[Delta | Finished, None]:
        """Stream an answer."""
        await self._turn()
        async with aclosing(self._endpoint.generate(request)) as items:
            async for item in items:
                yield item

    async def rerank(
        self, model: str, query: str, documents: list[str], *, deadline_s: float = 60.0
    ) -> Reranked:
        """Score *documents* against *query*."""
        await self._turn()
        return await self._endpoint.rerank(model, query, documents, deadline_s=deadline_s)

    async def embed(self, model: str, texts: list[str], *, deadline_s: float = 60.0) -> Embedded:
        """Embed *texts*."""
        await self._turn()
        return await self._endpoint.embed(model, texts, deadline_s=deadline_s)
