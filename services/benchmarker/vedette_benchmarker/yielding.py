"""Who else uses a server: an unrequested measurement gives way to them, and pushes no model out that is in use.

What counts as use: a model is loaded, or its unloading is postponed, and neither by Vedette. What a measurement
leaves loaded is kept with the endpoint's state, for other replicas and after a restart (`Occupancy`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from vedette.clock import Clock
from vedette.endpoints import OpenEndpoint
from vedette.endpoints.own import SETTLES_S
from vedette.errors import ProviderError
from vedette.messages.catalogue import ModelState
from vedette.messages.tolerance import is_within
from vedette.providers import Activity, Endpoint
from vedette.providers.counting import Sent
from vedette.text.figures import counted
from vedette.types import Occupancy, Residency

# For so long after another model was seen in use, no model is loaded in its place unasked.
DEFER: Final = timedelta(minutes=15)
# For so long after another used the same model, or ran a request, a measurement waits.
QUIET: Final = timedelta(minutes=1)
LOOK_EVERY_S: Final = 2.0
_RECOUNTS_S: Final = (0.0, 0.2, 0.5, 1.0)
_SWAPS_S: Final = 0.5  # a look that takes longer may have waited for another model to be loaded
# Servers report the time of unloading to the second, by a clock of their own.
_SLACK: Final = timedelta(seconds=5)

Loaded = Mapping[str, datetime | None]  # by name: when it will be unloaded, None where that is not reported


Turn = Callable[[], Awaitable[None]]  # awaited before each request of a measurement. Raises GaveWay


class GaveWay(Exception):
    """Another user needs the server: the measurement ends, to be done later."""

    def __init__(self, why: str, *, wait: timedelta = QUIET) -> None:
        self.why = why
        self.wait = wait
        super().__init__(why)


class PushedOut(GaveWay):
    """Another model was loaded in place of the one that is asked."""

    def __init__(self) -> None:
        super().__init__("another model is in use", wait=DEFER)


async def at_any_time() -> None:
    """Return at once: the turn of a measurement that does not wait for other users."""


def other_use(
    before: Activity | None, seen: Activity, *, names: Collection[str], ours: int, ours_ended: bool
) -> str | None:
    """Return what another user did between two looks, or None, while *ours* requests of Vedette run. Pure.

    Only the model with these *names* is loaded by ours. Each use moves the time at which a model is unloaded. Ours do
    too, so that time shows nothing where *ours_ended*.
    """
    if seen.requests is not None and seen.requests > ours:
        return counted(seen.requests - ours, "other request runs", "other requests run")
    if before is None:
        return None
    loaded = sorted(name for name in seen.used if name not in before.used and name not in names)
    if loaded:
        return f"{', '.join(loaded)} loaded by others"
    if ours_ended:
        return None
    used = sorted(name for name, mark in seen.used.items() if _has_moved(before.used.get(name), mark))
    return f"{', '.join(used)} used by others" if used else None


def without_marks(seen: Activity, names: Collection[str]) -> Activity:
    """Return *seen* without the marks of the models with these *names*. Pure.

    For a model that is loading, and until its first request ends, Ollama reports a time of unloading that moves with
    the clock [server/routes.go, PsHandler]. Our own first request would look like many uses by others.
    """
    used = {name: mark for name, mark in seen.used.items() if name not in names}
    return msgspec.structs.replace(seen, used=used)


def _has_moved(before: str | None, mark: str) -> bool:
    if before is None:
        return False
    moved = datetime.fromisoformat(mark) - datetime.fromisoformat(before)
    return moved.total_seconds() > SETTLES_S


async def until_used(
    endpoint: OpenEndpoint, names: Collection[str], sent: Sent, clock: Clock, *, was_loaded: bool
) -> GaveWay | None:
    """Return what another user does at *endpoint* while Vedette measures the model with these *names*.

    *was_loaded*: the model was before that. None where the server does not report it. Nothing is asked before the first
    request of the measurement: that would wake a server that sleeps. A request that waits while another model is loaded
    would push that out when its turn comes.
    """
    before: Activity | None = None
    before_at, suspected = 0.0, False
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        if not sent.in_flight and sent.ended_at is None:
            continue
        may_be_out = was_loaded or sent.ended_at is not None  # else it may be loading for our first request
        if may_be_out and await has_pushed_out(endpoint, names, clock.now()):
            return PushedOut()
        ours, began = sent.in_flight, clock.monotonic()
        try:
            seen = await endpoint.endpoint.activity()
            held = await endpoint.endpoint.resident() if seen is None else {}
        except ProviderError:
            continue
        if seen is None:
            if held is None:
                return None
            continue  # a server that swaps tells what its models do, and may have none loaded yet
        if sent.ended_at is None:
            seen = without_marks(seen, names)
        since = began if before is None else before_at
        ended = sent.ended_at is not None and sent.ended_at > since - SETTLES_S
        why = other_use(before, seen, names=names, ours=max(ours, sent.in_flight, 1), ours_ended=ended)
        if why and (suspected or seen.requests is None):
            return GaveWay(why)
        # One look may meet the end of one request of ours and the beginning of the next.
        suspected = why is not None
        if ended or before is None:
            before, before_at = seen, began


async def require_turn(endpoint: Endpoint) -> None:
    """Return if no other request runs. Raises GaveWay if one does."""
    running = 0
    for wait_s in _RECOUNTS_S:
        await asyncio.sleep(wait_s)
        try:
            seen = await endpoint.activity()
        except ProviderError:
            return
        if seen is None or not seen.requests:
            return
        running = seen.requests
    raise GaveWay(counted(running, "other request runs", "other requests run"))


def turn_of(
    endpoint: OpenEndpoint, names: Collection[str], sent: Sent, clock: Clock, *, manual: bool = False
) -> Turn:
    """Return what a measurement of the model with these *names* awaits before each request.

    The caller has looked before the first request. A measurement that a person asked for does not wait.
    """

    async def require_place() -> None:
        if await has_pushed_out(endpoint, names, clock.now()):
            raise PushedOut

    async def turn() -> None:
        if manual or sent.ended_at is None:
            return
        await require_place()  # before the slots of the model are read: llama-swap would load it for that
        began = clock.monotonic()
        await require_turn(endpoint.endpoint)
        if clock.monotonic() - began > _SWAPS_S:  # reading the slots waited for a swap
            await require_place()

    return turn


def used_lately(
    seen: Occupancy | None, loaded: Loaded, *, names: Collection[str], ours: Collection[str]
) -> bool:
    """Return whether others used the model of these *names* since the last look. Pure.

    Only a new time of unloading shows that: a model that is merely loaded may be at rest.
    """
    before = seen.loaded if seen else {}
    return any(
        name in before and _is_used(name, at, before)
        for name, at in loaded.items()
        if name in names and name not in ours
    )


def after(
    seen: Occupancy | None, loaded: Loaded, *, ours: Collection[str], now: datetime, gave_way: bool = False
) -> Occupancy:
    """Return what is seen at *now*, when *ours* may have been used by Vedette since the look before. Pure.

    A measurement that *gave_way* saw use by others, also of a model that was loaded a moment before it.
    """
    before = seen.loaded if seen else {}
    used = gave_way or any(_is_used(name, at, before) for name, at in loaded.items() if name not in ours)
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


def defer_s(seen: Occupancy, names: Collection[str], now: datetime) -> float:
    """Return for how many seconds a model of these *names* must not be loaded in place of others. Pure."""
    if not seen.loaded or seen.used_at is None or any(name in seen.loaded for name in names):
        return 0.0
    return (seen.used_at + DEFER - now).total_seconds() if is_within(seen.used_at, now, DEFER) else 0.0


def names_of(state: ModelState, beside: Iterable[ModelState]) -> set[str]:
    """Return all names of a model at its endpoint: those *beside* with its digest are the same weights. Pure."""
    digest = state.info.digest if state.info else None
    same = {one.model.name for one in beside if digest and one.info and one.info.digest == digest}
    return {state.model.name} | same


def unloading(states: Iterable[ModelState]) -> Loaded:
    """Return when each model will be unloaded, as the server said after each probe. Pure."""
    health = ((state.model.name, state.health) for state in states)
    return {name: one.residency.expires_at for name, one in health if one is not None and one.residency}


def ours_by_probes(loaded: Loaded, probed: Loaded) -> set[str]:
    """Return which of the *loaded* models our own probe's question was the last use of. Pure."""
    return {name for name, at in loaded.items() if at is not None and _is_same(at, probed.get(name))}


async def has_pushed_out(endpoint: OpenEndpoint, names: Collection[str], now: datetime) -> bool:
    """Return whether another model was loaded in place of the one that has *names*."""
    for wait_s in _RECOUNTS_S:
        await asyncio.sleep(wait_s)
        held = await _residency(endpoint)
        found = False if held is None else is_pushed_out(held, names, now)
        if found is not None:
            return found
    return False


def is_pushed_out(held: Mapping[str, Residency], names: Collection[str], now: datetime) -> bool | None:
    """Return whether another model took the place of the one that has *names*. Pure.

    None where the place is empty at a server that swaps: whether another is loaded there next, the next look shows.
    """
    loaded = _loaded(held, now)
    if any(name in loaded for name in names):
        return False
    return bool(loaded) or (None if any(name in held and held[name].swaps for name in names) else False)


def _is_same(at: datetime, other: datetime | None) -> bool:
    return other is not None and abs(at - other) <= _SLACK


async def look(endpoint: OpenEndpoint, now: datetime) -> Loaded | None:
    """Return what is loaded at *endpoint*, or None where it does not report that."""
    held = await _residency(endpoint)
    return None if held is None else _loaded(held, now)


async def _residency(endpoint: OpenEndpoint) -> Mapping[str, Residency] | None:
    try:
        return await endpoint.endpoint.resident()
    except ProviderError:
        return None


def _loaded(held: Mapping[str, Residency], now: datetime) -> Loaded:
    return {name: one.expires_at for name, one in held.items() if one.is_resident(now)}
