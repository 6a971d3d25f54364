"""One round of probes: which models of an endpoint are loaded, how deeply each may be probed, and its result."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

import msgspec

from vedette.clock import Clock
from vedette.endpoints import OpenEndpoint
from vedette.endpoints.budget import charge
from vedette.errors import ProviderError
from vedette.messages.catalogue import ModelState
from vedette.messages.events import Job
from vedette.messages.probe_times import probe_times
from vedette.messages.tolerance import is_within
from vedette.providers import Listing, Publishing
from vedette.types import (
    EndpointState,
    Exchange,
    Failure,
    Health,
    Ledger,
    Level,
    ModelInfo,
    Outcome,
    ProbeSample,
    Published,
    Residency,
    Use,
)
from vedette_prober.budget import deepest, described, level_cost
from vedette_prober.levels import LEVELS

# A contact that ended so never came as far as a listing.
NOT_REACHED = frozenset({Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.RESET, Outcome.TIMEOUT})
_SAME_WEIGHTS = "another name of the same weights was probed"
# A server reports the new time of unloading only after the answer: Ollama a moment later.
_SETTLING_S = (0.0, 0.05, 0.2, 0.5, 1.0)
_LATELY = timedelta(minutes=1)  # since the probe that another one confirms


class Probed(NamedTuple):
    """One probe of one model: its sample, whether it is loaded, a transcript if it failed, published figures."""

    sample: ProbeSample
    residency: Residency | None = None
    failure: Failure | None = None
    published: tuple[Published, ...] = ()


class Round:
    """The probes of one endpoint's models for one job: the listing, the loaded models, the cost."""

    def __init__(
        self,
        *,
        endpoint: OpenEndpoint,
        entries: Mapping[str, Listing],
        before: Ledger | None,
        closed: Callable[[], Awaitable[str | None]],
        behind: Callable[[ModelInfo], tuple[str, EndpointState] | None],
        timeout_s: float,
        clock: Clock,
        job: Job,
    ) -> None:
        self._endpoint = endpoint
        self._entries = entries
        self._residency: Mapping[str, Residency] | None = None
        self._read_at = clock.now()
        self._before = before
        self._closed = closed
        self._behind = behind
        self._timeout_s = timeout_s
        self._clock = clock
        self._job = job
        self._asked: dict[str, asyncio.Task[Probed]] = {}  # by digest: the model that was asked for an answer
        self.use = Use()

    async def read_residency(self) -> bool:
        """Read which models are loaded, holding one of the endpoint's slots; return whether that could be read."""
        at = self._clock.now()
        try:
            loaded = await self._endpoint.endpoint.resident()
        except ProviderError:
            return False
        self._read_at, self._residency = at, loaded
        if loaded is not None:
            self.use += Use(requests=1)
        return True

    def is_resident(self, name: str) -> bool:
        """Return whether the server said that the model is loaded."""
        residency = self._residency_of(name)
        return residency is not None and residency.resident

    def _residency_of(self, name: str) -> Residency | None:
        """Return whether the model is loaded, or None where the server does not say."""
        if self._residency is None:
            return None
        return self._residency.get(name, Residency(resident=False))

    async def probe(self, state: ModelState) -> Probed:
        """Probe one model; a failure is a result."""
        entry, info = self._entries.get(state.model.name), state.known
        if entry is None or info is None:
            return Probed(self._sample(Outcome.NOT_FOUND, Level.LIST, None, "not in the endpoint's listing"))
        server, seen_there = self._behind(info) or (None, None)
        if seen_there is not None and seen_there.outcome in NOT_REACHED:
            why = f"{server}, which runs it: {seen_there.detail or seen_there.outcome}"
            sample = self._sample(seen_there.outcome, Level.REACH, None, why)
            return Probed(msgspec.structs.replace(sample, cause="endpoint"))
        name = info.model.name
        if self.is_resident(name) and state.probed and state.probed.event.at >= self._read_at:
            await self.read_residency()  # another job has asked the model since
        if self._depth(info, state.health) is not Level.ANSWER:
            return await self._go(entry, info, self._take(info, state.health, answers=False))
        if info.digest is None:
            return await self._ask(entry, info, state.health)
        asked = self._asked.get(info.digest)
        if asked is None:
            asked = self._asked[info.digest] = asyncio.create_task(self._ask(entry, info, state.health))
            return await asked
        probed = await asked
        sample = msgspec.structs.replace(probed.sample, detail=probed.sample.detail or _SAME_WEIGHTS)
        return probed._replace(sample=sample, residency=self._residency_of(name))

    async def _ask(self, entry: Listing, info: ModelInfo, before: Health | None) -> Probed:
        """Have the model say something, unless its host is being measured."""
        left_out = await self._closed()
        # Others may have loaded another model in its place since the round began.
        if left_out is None and not await self.read_residency():
            left_out = "what is loaded could not be read"
        level = self._take(info, before, answers=left_out is None)
        return await self._go(entry, info, level, left_out, patience_s=probe_times(before).patience_s)

    async def _go(
        self,
        entry: Listing,
        info: ModelInfo,
        level: Level,
        left_out: str | None = None,
        *,
        patience_s: float = math.inf,
    ) -> Probed:
        name = info.model.name
        residency, started = self._residency_of(name), self._clock.monotonic()
        # A model that is not known to be loaded may load first, which takes far longer than its usual answer. One
        # that takes as long as this may take is judged by that.
        is_loaded = residency is not None and residency.is_resident(self._clock.now())
        is_limited = is_loaded and level is Level.ANSWER and patience_s < self._timeout_s
        patient_s = patience_s if is_limited else None
        try:
            async with asyncio.timeout(patient_s):
                await LEVELS[level](self._endpoint.endpoint, entry, info, self._timeout_s)
        except TimeoutError:
            # A timer may go off a moment too early, and that would be no late answer.
            late = f"no token within {patience_s:.1f} s, which is far longer than usual"
            took_ms = max(patience_s, self._clock.monotonic() - started) * 1000
            return Probed(self._sample(Outcome.BUSY, level, took_ms, late), residency)
        except ProviderError as error:
            took_ms = (self._clock.monotonic() - started) * 1000
            sample = self._sample(error.outcome, level, took_ms, error.detail)
            return Probed(sample, residency, _transcript(sample, info, error))
        took_ms = (self._clock.monotonic() - started) * 1000
        reached = (
            described(info, residency, is_watched=self._behind(info) is not None)
            if level is Level.DESCRIBE
            else level
        )
        sample = self._sample(
            Outcome.OK,
            reached,
            took_ms,
            f"the model was not asked to answer: {left_out}" if left_out else None,
        )
        return Probed(
            sample,
            await self._settled(name, residency) if level is Level.ANSWER else residency,
            published=await self._published(entry),
        )

    async def _published(self, entry: Listing) -> tuple[Published, ...]:
        """Return the service's published figures of the model; an error there is no failure of the model."""
        endpoint = self._endpoint.endpoint
        if not isinstance(endpoint, Publishing):
            return ()
        self.use += Use(requests=1)
        with suppress(ProviderError):
            return await endpoint.published(entry)
        return ()

    async def _settled(self, name: str, before: Residency | None) -> Residency | None:
        """Return the residency after our question, which postpones the time of unloading.

        Where the server takes too long to say, that time is unknown.
        """
        if before is None or before.is_pinned(self._clock.now()):
            return before
        for wait_s in _SETTLING_S:
            await asyncio.sleep(wait_s)
            await self.read_residency()
            now = self._residency_of(name)
            if now != before:
                return now
        return msgspec.structs.replace(before, expires_at=None)

    def _take(self, info: ModelInfo, before: Health | None, *, answers: bool) -> Level:
        """Return how deep to go, and count its cost, so that one round stays within the budget."""
        level = self._depth(info, before)
        if level is Level.ANSWER and not answers:
            level = Level.DESCRIBE
        self.use += level_cost(level, info, self._endpoint.settings)
        return level

    def _depth(self, info: ModelInfo, before: Health | None) -> Level:
        return deepest(
            info,
            residency=self._residency_of(info.model.name),
            seen=before.residency if before else None,
            endpoint=self._endpoint.settings,
            ledger=charge(self._before, self._job.kind, self.use, self._clock.now()),
            now=self._clock.now(),
            confirms=self._confirms(before),
        )

    def _confirms(self, before: Health | None) -> bool:
        """Return whether this probe confirms one that asked the model a moment ago."""
        last = before.outcomes[-1] if before and self._job.cause == "suspicion" else None
        return (
            last is not None and last.level is Level.ANSWER and is_within(last.at, self._clock.now(), _LATELY)
        )

    def _sample(
        self, outcome: Outcome, level: Level, latency_ms: float | None, detail: str | None
    ) -> ProbeSample:
        return ProbeSample(
            job_id=self._job.id,
            at=self._clock.now(),
            outcome=outcome,
            level=level,
            latency_ms=latency_ms,
            detail=detail,
        )


def _transcript(sample: ProbeSample, info: ModelInfo, error: ProviderError) -> Failure:
    exchange = error.exchange or Exchange(sent=f"{sample.level} of {info.model.name}", received=error.detail)
    return Failure(at=sample.at, level=sample.level, outcome=sample.outcome, exchange=exchange)
