"""Who else uses a server: a scheduled measurement is deferred for them, and unloads no model that is in use.

Use is: a model was loaded, or its unload time moved, and Vedette caused neither. The endpoint's state contains the
models that a measurement leaves loaded (`Occupancy`), for other replicas and after a restart.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from vedette.endpoints import OpenEndpoint
from vedette.endpoints.own import SETTLES_S
from vedette.errors import ProviderError
from vedette.messages.catalogue import ModelState
from vedette.messages.tolerance import is_within
from vedette.providers import Activity, Endpoint
from vedette.settings import EndpointSettings
from vedette.text.figures import counted
from vedette.types import PINNED_BEYOND, Occupancy, Residency

# How long after use of another model by others no model replaces it by schedule.
DEFER: Final = timedelta(minutes=15)
# How long a measurement waits after others used the same model, or ran a request.
QUIET: Final = timedelta(minutes=1)
# How long a measurement waits if it would unload a model that others keep loaded.
KEPT: Final = timedelta(hours=1)
LOOK_EVERY_S: Final = 2.0
RECOUNTS_S: Final = (0.0, 0.2, 0.5, 1.0)
# Servers report the unload time with a precision of a second, by their own clock.
SLACK: Final = timedelta(seconds=5)

Loaded = Mapping[str, datetime | None]  # by name: the unload time, which each use moves; None: not reported

Turn = Callable[[], Awaitable[None]]  # awaited before each request of a measurement. Raises GaveWay


class GaveWay(Exception):
    """Another user needs the server: the measurement ends and is repeated later."""

    def __init__(self, why: str, *, wait: timedelta = QUIET) -> None:
        self.why = why
        self.wait = wait
        super().__init__(why)


async def at_any_time() -> None:
    """Return at once: the turn of a measurement that does not wait for other users."""


def other_use(
    before: Activity | None, seen: Activity, *, names: Collection[str], ours: int, ours_ended: bool
) -> str | None:
    """Return another user's activity between two looks, or None, while *ours* requests of Vedette run. Pure.

    Our requests load only the model with these *names*. Each use moves the unload time of a model. Our requests move it
    too, so if *ours_ended*, that time shows nothing.
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

    While a model is loading, and until its first request ends, Ollama reports an unload time that moves with the clock
    [server/routes.go, PsHandler]. So our own first request would look like many uses by others.
    """
    used = {name: mark for name, mark in seen.used.items() if name not in names}
    return msgspec.structs.replace(seen, used=used)


def _has_moved(before: str | None, mark: str) -> bool:
    if before is None:
        return False
    moved = datetime.fromisoformat(mark) - datetime.fromisoformat(before)
    return moved.total_seconds() > SETTLES_S


async def require_turn(endpoint: Endpoint) -> None:
    """Return if no other request runs. Raises GaveWay if one does."""
    running = 0
    for wait_s in RECOUNTS_S:
        await asyncio.sleep(wait_s)
        try:
            seen = await endpoint.activity()
        except ProviderError:
            return
        if seen is None or not seen.requests:
            return
        running = seen.requests
    raise GaveWay(counted(running, "other request runs", "other requests run"))


def used_lately(
    seen: Occupancy | None, loaded: Loaded, *, names: Collection[str], ours: Collection[str]
) -> bool:
    """Return whether others used the model with these *names* since the last look. Pure.

    Only a new unload time shows that: a model that is merely loaded may be at rest.
    """
    before = seen.loaded if seen else {}
    return any(
        name in before and _is_used(name, at, before)
        for name, at in loaded.items()
        if name in names and name not in ours
    )


def after(
    seen: Occupancy | None,
    loaded: Loaded,
    *,
    ours: Collection[str],
    now: datetime,
    gave_way: bool = False,
    measured: Collection[str] = (),
) -> Occupancy:
    """Return the state at *now*, when Vedette may have used *ours* since the last look. Pure.

    A measurement that *gave_way* saw use by others, even of a model that was loaded a moment before it. Vedette loaded
    those of the *measured* models that were not loaded before.
    """
    before = seen.loaded if seen else {}
    used = {name for name, at in loaded.items() if name not in ours and _is_used(name, at, before)}
    left = {*(seen.ours if seen else ()), *(name for name in measured if name not in before)}
    return Occupancy(
        loaded=dict(loaded),
        used_at=now if used or gave_way else (seen.used_at if seen else None),
        ours=tuple(sorted(left & loaded.keys() - used)),
    )


def pinned(
    seen: Occupancy, names: Collection[str], now: datetime, *, settings: EndpointSettings
) -> str | None:
    """Return a model that others keep loaded permanently, and that loading one of *names* may unload. Pure.

    None if the operator allows it: with `answer = "always"`, each probe loads its model too.
    """
    if settings.measure or settings.answer == "always" or any(name in seen.loaded for name in names):
        return None
    return next(
        (
            name
            for name, at in sorted(seen.loaded.items())
            if at is not None and at - now > PINNED_BEYOND and name not in seen.ours
        ),
        None,
    )


def claimed(seen: Occupancy, names: Collection[str]) -> Occupancy:
    """Return *seen* with *names* as used and loaded by Vedette, for any later unload time. Pure.

    This is stored before a measurement, because its process may end before it can store which models it left loaded.
    Models that were loaded before keep their user.
    """
    ours = {*seen.ours, *(name for name in names if name not in seen.loaded)}
    return msgspec.structs.replace(
        seen, loaded={**seen.loaded, **dict.fromkeys(names)}, ours=tuple(sorted(ours))
    )


def _is_used(name: str, unloads_at: datetime | None, before: Loaded) -> bool:
    if name not in before:
        return True
    was = before[name]
    return unloads_at is not None and was is not None and unloads_at - was > SLACK


def defer_s(seen: Occupancy, names: Collection[str], now: datetime) -> float:
    """Return for how many seconds no model of *names* may be loaded in place of others. Pure."""
    if not seen.loaded or seen.used_at is None or any(name in seen.loaded for name in names):
        return 0.0
    return (seen.used_at + DEFER - now).total_seconds() if is_within(seen.used_at, now, DEFER) else 0.0


def names_of(state: ModelState, beside: Iterable[ModelState]) -> set[str]:
    """Return all names of a model at its endpoint: models in *beside* with its digest have the same weights. Pure."""
    digest = state.info.digest if state.info else None
    same = {one.model.name for one in beside if digest and one.info and one.info.digest == digest}
    return {state.model.name} | same


def unloading(states: Iterable[ModelState]) -> Loaded:
    """Return the unload time of each model, as the server reported it after the last probe. Pure."""
    health = ((state.model.name, state.health) for state in states)
    return {name: one.residency.expires_at for name, one in health if one is not None and one.residency}


def ours_by_probes(loaded: Loaded, probed: Loaded) -> set[str]:
    """Return the *loaded* models whose last use was our own probe. Pure."""
    return {name for name, at in loaded.items() if at is not None and is_same(at, probed.get(name))}


def is_same(at: datetime, other: datetime | None) -> bool:
    """Return whether both are the same unload time, within the precision of servers. Pure."""
    return other is not None and abs(at - other) <= SLACK


async def read_loaded(endpoint: OpenEndpoint, now: datetime) -> Loaded | None:
    """Return the loaded models at *endpoint*, or None if it does not report them.

    A server that swaps models does not report unload times. If it records the last use of each model, that is used
    instead.
    """
    try:
        held = await endpoint.endpoint.resident()
        loaded = None if held is None else loaded_of(held, now)
        if not held or not loaded or not any(held[name].swaps for name in loaded):
            return loaded
        seen = await endpoint.endpoint.activity()
    except ProviderError:
        return None
    return by_record(loaded, seen.used if seen else {})


def by_record(loaded: Loaded, used: Mapping[str, str]) -> Loaded:
    """Return *loaded* with the last use of each model, if the server records it. Pure."""
    last = {name: datetime.fromisoformat(used[name]) for name in loaded if name in used}
    return {name: at or last.get(name) for name, at in loaded.items()}


def loaded_of(held: Mapping[str, Residency], now: datetime) -> Loaded:
    """Return the loaded models in *held*, with their unload times. Pure."""
    return {name: one.expires_at for name, one in held.items() if one.is_resident(now)}
