"""Who else uses a server that swaps models: an unrequested measurement does not push out a model that is in use.

What counts as use: a model is loaded, or its unloading is put off, and neither by Vedette. What a measurement leaves
loaded is kept with the endpoint's state, for other replicas and after a restart (`Occupancy`).
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from vedette.endpoints import OpenEndpoint
from vedette.errors import ProviderError
from vedette.messages.catalogue import ModelState
from vedette.types import Occupancy, Residency

# For so long after another model was seen in use, no model is loaded in its place unasked.
DEFER: Final = timedelta(minutes=15)
# Servers tell the time of unloading to the second, by a clock of their own.
_SLACK: Final = timedelta(seconds=5)

Loaded = Mapping[str, datetime | None]  # by name: when it will be unloaded, None where that is not told


class PushedOut(Exception):
    """Another model was loaded in place of the one that is asked."""


def after(seen: Occupancy | None, loaded: Loaded, *, ours: Collection[str], now: datetime) -> Occupancy:
    """Return what is seen at *now*, when *ours* may have been used by Vedette since the look before. Pure."""
    before = seen.loaded if seen else {}
    used = any(_is_used(name, at, before) for name, at in loaded.items() if name not in ours)
    return Occupancy(loaded=dict(loaded), used_at=now if used else (seen.used_at if seen else None))


def claimed(seen: Occupancy, names: Collection[str]) -> Occupancy:
    """Return *seen* with *names* as used by Vedette, whenever they will be unloaded. Pure.

    Written down before a measurement: its process may end before it can say what it left loaded.
    """
    return msgspec.structs.replace(seen, loaded={**seen.loaded, **dict.fromkeys(names)})


def _is_used(name: str, unloads_at: datetime | None, before: Loaded) -> bool:
    if name not in before:
        return True
    was = before[name]
    return unloads_at is not None and was is not None and unloads_at - was > _SLACK


def left_alone_s(seen: Occupancy, names: Collection[str], now: datetime) -> float:
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


def ours_by_probes(loaded: Loaded, probed: Loaded) -> set[str]:
    """Return which of the *loaded* models our own probe's question was the last use of. Pure."""
    return {name for name, at in loaded.items() if at is not None and _is_same(at, probed.get(name))}


async def has_pushed_out(endpoint: OpenEndpoint, names: Collection[str], now: datetime) -> bool:
    """Return whether another model was loaded in place of the one that has *names*."""
    loaded = await look(endpoint, now)
    return bool(loaded) and not any(name in (loaded or {}) for name in names)


def _is_same(at: datetime, other: datetime | None) -> bool:
    return other is not None and abs(at - other) <= _SLACK


async def look(endpoint: OpenEndpoint, now: datetime) -> Loaded | None:
    """Return what is loaded at *endpoint*, or None where it does not tell."""
    try:
        told: Mapping[str, Residency] | None = await endpoint.endpoint.resident()
    except ProviderError:
        return None
    if told is None:
        return None
    return {name: one.expires_at for name, one in told.items() if one.is_resident(now)}
