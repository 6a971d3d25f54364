"""Who else uses a server that swaps models: a measurement nobody asked for does not push out a model that is in use.

What counts as use: a model is loaded, or its unloading is put off, and neither by Vedette. Only what is seen between
measurements can be told: after a start, every loaded model counts as in use.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from vedette.catalogue import ModelState
from vedette.clock import Clock
from vedette.endpoints import OpenEndpoint
from vedette.errors import ProviderError
from vedette.types import Residency

# For so long after another model was seen in use, no model is loaded in its place unasked.
DEFER: Final = timedelta(minutes=15)
# Servers tell the time of unloading to the second, by a clock of their own.
_SLACK: Final = timedelta(seconds=5)

Loaded = Mapping[str, datetime | None]  # by name: when it will be unloaded, None where that is not told


class PushedOut(Exception):
    """Another model was loaded in place of the one that is asked."""


class Seen(Struct, frozen=True, kw_only=True):
    """What was loaded at the last look, and when a use of somebody else's was last seen."""

    loaded: Loaded = {}
    used_at: datetime | None = None


def after(seen: Seen | None, loaded: Loaded, *, ours: Collection[str], now: datetime) -> Seen:
    """Return what is seen at *now*, when *ours* may have been used by Vedette since the look before. Pure."""
    before = seen.loaded if seen else {}
    used = any(_is_used(name, at, before) for name, at in loaded.items() if name not in ours)
    return Seen(loaded=loaded, used_at=now if used else (seen.used_at if seen else None))


def _is_used(name: str, unloads_at: datetime | None, before: Loaded) -> bool:
    if name not in before:
        return True
    was = before[name]
    return unloads_at is not None and was is not None and unloads_at - was > _SLACK


def wait_s(seen: Seen, names: Collection[str], now: datetime) -> float:
    """Return for how many seconds a model of these *names* must not be loaded in place of others. Pure."""
    if not seen.loaded or seen.used_at is None or any(name in seen.loaded for name in names):
        return 0.0
    return max(0.0, (seen.used_at + DEFER - now).total_seconds())


def names_of(state: ModelState, beside: Iterable[ModelState]) -> set[str]:
    """Return all names of a model at its endpoint: those *beside* with its digest are the same weights. Pure."""
    digest = state.info.digest if state.info else None
    same = {one.model.name for one in beside if digest and one.info and one.info.digest == digest}
    return {state.model.name} | same


def unloading(states: Iterable[ModelState]) -> Loaded:
    """Return when each model will be unloaded, as probes were told after their own questions. Pure."""
    health = ((state.model.name, state.health) for state in states)
    return {name: one.residency.expires_at for name, one in health if one is not None and one.residency}


class Users:
    """Looks at what is loaded before and after each measurement. Forgets at a restart."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, Seen] = {}

    async def wait_s(self, endpoint: OpenEndpoint, names: Collection[str], probed: Loaded) -> float:
        """Return how long to leave *endpoint* alone, where *names* are one model, and *probed* when probes were."""
        loaded = await _loaded(endpoint, self._clock.now())
        if loaded is None:
            return 0.0
        now = self._clock.now()
        # A use that our own probe's question explains is nobody else's.
        ours = {name for name, at in loaded.items() if at is not None and _is_same(at, probed.get(name))}
        seen = self._seen[endpoint.name] = after(self._seen.get(endpoint.name), loaded, ours=ours, now=now)
        return wait_s(seen, names, now)

    async def note(self, endpoint: OpenEndpoint, names: Collection[str]) -> None:
        """Note what is loaded after a measurement of the model that has *names*."""
        loaded = await _loaded(endpoint, self._clock.now())
        if loaded is not None:
            seen = self._seen.get(endpoint.name)
            self._seen[endpoint.name] = after(seen, loaded, ours=names, now=self._clock.now())

    async def has_pushed_out(self, endpoint: OpenEndpoint, names: Collection[str]) -> bool:
        """Return whether another model was loaded in place of the one that has *names*."""
        loaded = await _loaded(endpoint, self._clock.now())
        return bool(loaded) and not any(name in (loaded or {}) for name in names)


def _is_same(at: datetime, other: datetime | None) -> bool:
    return other is not None and abs(at - other) <= _SLACK


async def _loaded(endpoint: OpenEndpoint, now: datetime) -> Loaded | None:
    """Return what is loaded at *endpoint*, or None where it does not tell."""
    try:
        told: Mapping[str, Residency] | None = await endpoint.endpoint.resident()
    except ProviderError:
        return None
    if told is None:
        return None
    return {name: one.expires_at for name, one in told.items() if one.is_resident(now)}
