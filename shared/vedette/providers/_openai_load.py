"""Reads loaded models and load of a server with OpenAI's protocol, by requests that load no model.

The server's flavour says which sources it has: properties, slots, metrics, or a path of its own.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from vedette.clock import Clock
from vedette.errors import ProviderError
from vedette.providers import Activity, ModelActivity, _metrics
from vedette.providers._entries import context
from vedette.providers._flavours import GENERIC, Flavour
from vedette.providers._http import Http
from vedette.providers._lenient import count, mapping, moment, sequence, text
from vedette.providers._llamacpp import LlamaCppLoad
from vedette.providers._metrics import Metrics
from vedette.providers._native import LOADED
from vedette.providers._openai_listing import SWITCHED_OFF, OpenAIListing, optional
from vedette.types import Outcome, Residency

_MAX_ASKED: Final = 16  # loaded models of a router whose slots are read
# Field names for a number of requests, for the number of waiting requests, and whether the first includes the second.
_COUNTED_AS: Final = (
    ("num_running_reqs", "num_waiting_reqs", False),
    ("server_load", None, False),
    ("num_reqs", "num_waiting_reqs", True),
    ("in_flight_requests", None, False),
)
_NO_LOAD: Final = SWITCHED_OFF | {Outcome.GARBAGE}


class OpenAILoad:
    """Residency and load of one server with the models of *listing*. *own*: it is on a machine of your own."""

    def __init__(self, http: Http, *, listing: OpenAIListing, own: bool, clock: Clock) -> None:
        self._http = http
        self._listing = listing
        self._own = own
        self._slotted = LlamaCppLoad(http, clock=clock)
        self._page: str | None = None  # the path of metrics that worked last
        self._count_path: str | None = None  # `load_before`, if the server is an older version

    async def resident(self) -> Mapping[str, Residency] | None:
        """Return residency by model name; None if the server does not report it."""
        if not self._listing.entries:
            await self._listing.read()
        flavour = self._listing.flavour
        match flavour.resident:
            case "unknown":
                return None
            case "by_list":
                return await self._by_list()
            case "by_status":
                await self._listing.read()  # the status in `entries` may be old
                return {
                    name: Residency(resident=_status(entry) in LOADED, swaps=True)
                    for name, entry in self._listing.entries.items()
                }
            case "by_state":
                return {
                    name: Residency(resident=entry.get("state") == "loaded", swaps=True)
                    for name, entry in (await self._listing.read_native()).items()
                } or None
            case "by_system":
                return await self._by_system()
        asleep = (await self._listing.properties()).get("is_sleeping") is True
        return {
            name: Residency(resident=not asleep, context_tokens=context(entry))
            for name, entry in self._listing.entries.items()
        }

    async def _by_list(self) -> dict[str, Residency] | None:
        names = self._listing.entries.keys()
        held = await self._listing.held(names)
        return None if held is None else {n: Residency(resident=n in held, swaps=True) for n in names}

    async def _by_system(self) -> dict[str, Residency] | None:
        system = mapping(await optional(self._http.get("system")))
        if "loaded_models" not in system:
            return None
        held = {text(one.get("id")) for one in map(mapping, sequence(system["loaded_models"]))}
        return {name: Residency(resident=name in held, swaps=True) for name in self._listing.entries}

    async def activity(self) -> Activity | None:
        """Return the server's activity by its record of requests, its metrics or its slots; None if it has none."""
        flavour = self._listing.flavour
        if flavour.record is not None:
            return await self._recorded(flavour.record)
        if flavour.slots_of_each is not None:
            return await self._activity_of_each(flavour.slots_of_each)
        if flavour.metrics is not None and (activity := await self._metered((flavour.metrics,))):
            return activity
        if flavour.slots is None:
            return None
        running = await self._busy_slots(flavour.slots)
        return None if running is None else Activity(running=running)

    async def load(self, server: str | None) -> Activity | None:
        """Return the load that the server reports, by requests that do not count as use of a model.

        None if the server reports none, is not on a machine of your own, or is disturbed by every request.
        """
        if not self._own or self._listing.likely(server).quiet is not None:
            return None
        if not self._listing.entries:
            await self._listing.read()
        flavour = self._listing.flavour
        if flavour.quiet is not None:
            return None
        if flavour.slots is not None:
            return await self._slotted.read(list(self._listing.entries))
        if flavour.resident in ("by_list", "by_status", "by_state"):
            return await self._held()
        kinds = _metrics.ALL if flavour.metrics is None else (flavour.metrics,)
        return await self._metered(kinds) or await self._counted(flavour)

    async def _held(self) -> Activity | None:
        """Return the loaded models, and the slots of each if reading them does not count as use of the model."""
        residency = await self.resident()
        if residency is None:
            return None
        loaded = {name: one for name, one in residency.items() if one.resident}
        models: dict[str, ModelActivity] = {}
        flavour, entries = self._listing.flavour, self._listing.entries
        if flavour.resident == "by_status" and flavour.slots_of_each:
            for name in [one for one in loaded if not _sleeps(entries[one])][:_MAX_ASKED]:
                path = flavour.slots_of_each.format(model=quote(name, safe=""))
                if (seen := await self._slots(path)) is not None:
                    models[name] = ModelActivity(running=sum(seen), slots=len(seen))
        known = [one.running for one in models.values() if one.running is not None]
        return Activity(
            running=sum(known) if known and len(known) == len(loaded) else None,
            loaded=loaded,
            models=models,
            source=f"{flavour.name} {'slots' if models else 'listing'}",
        )

    async def _metered(self, kinds: tuple[Metrics, ...]) -> Activity | None:
        """Return the load by the server's metrics, or None. Requests only the needed names if the server can select."""
        selects = len(kinds) == 1 and kinds[0].selects
        pages = (
            (self._page,) if self._page else (*([_metrics.selecting(kinds[0])] if selects else []), "metrics")
        )
        self._page = None
        for page in pages:
            exposition = await optional(
                self._http.text(page, most_bytes=_metrics.MAX_BYTES), without=_NO_LOAD
            )
            found = _metrics.activity(
                _metrics.samples(exposition or "", (name for kind in kinds for name in kind.names)), kinds
            )
            if found is not None:
                self._page = page
                return found
        return None

    async def _counted(self, flavour: Flavour) -> Activity | None:
        """Return the number of requests by a path of the flavour, or None."""
        own_paths = (self._count_path or flavour.load, flavour.load_before)
        for path in dict.fromkeys(filter(None, ("load",) if flavour is GENERIC else own_paths)):
            found = requests_of(await optional(self._http.get(path), without=_NO_LOAD))
            if found is not None:
                self._count_path = path if path == flavour.load_before else None
                running, waiting = found
                own = flavour.metrics.own if flavour.metrics else 0
                source = f"{flavour.name} /{path.partition('?')[0]}"
                return Activity(running=max(0, running - own), waiting=waiting, source=source)
        self._count_path = None
        return None

    async def _activity_of_each(self, path: str) -> Activity | None:
        """Return the running requests in the slots of all loaded models; None if no slots are reported."""
        loaded = await self.resident() or {}
        names = [name for name, one in loaded.items() if one.resident]
        busy = [await self._busy_slots(path.format(model=quote(name, safe=""))) for name in names]
        known = [running for running in busy if running is not None]
        return Activity(running=sum(known)) if known else None

    async def _recorded(self, path: str) -> Activity | None:
        """Return when each model's last request ended, by the server's record of requests; None if it has none."""
        reply = mapping(await optional(self._http.get(path), without=_NO_LOAD))
        used: dict[str, str] = {}
        for entry in map(mapping, sequence(reply.get("data"))):  # the latest first
            name, at = text(entry.get("model")), moment(entry.get("timestamp"))
            if name is not None and at is not None:
                used.setdefault(name, at.isoformat())
        return Activity(used=used) if used else None

    async def _busy_slots(self, path: str) -> int | None:
        """Return the number of busy slots, or None if the server does not report slots."""
        slots = await self._slots(path)
        return None if slots is None else sum(slots)

    async def _slots(self, path: str) -> list[bool] | None:
        """Return for each slot whether it is busy; None if the server does not report slots."""
        try:
            slots = sequence(await self._http.get(path))
        except ProviderError:
            return None
        return [mapping(slot).get("is_processing") is True for slot in slots] or None


def requests_of(reply: object) -> tuple[int, int | None] | None:
    """Return the numbers of running and waiting requests in *reply*; None if it has no such numbers.

    *reply* is of vLLM's /load, SGLang's /v1/loads or /get_load, LiteLLM's /health/backlog, or KoboldCpp's
    /api/extra/perf, which runs one request at a time. Waiting is None if the server does not count it separately.
    """
    idle, queued = (count(mapping(reply).get(name)) for name in ("idle", "queue"))
    if idle in (0, 1) and queued is not None:
        return 1 - idle, queued
    reply = mapping(reply).get("loads", reply)
    ranks = [mapping(one) for one in (reply if isinstance(reply, list) else [reply])]
    for counted, those_that_wait, includes_waiting in _COUNTED_AS:
        held = [count(rank.get(counted)) for rank in ranks]
        if not held or None in held:
            continue
        total = sum(one for one in held if one is not None)
        if those_that_wait is None:
            return total, None
        waiting = sum(count(rank.get(those_that_wait)) or 0 for rank in ranks)
        return max(0, total - waiting) if includes_waiting else total, waiting
    return None


def _sleeps(entry: Mapping[str, Any]) -> bool:
    """Return whether a model of llama.cpp's router sleeps when idle. Reading its slots would wake it."""
    arguments = sequence(mapping(entry.get("status")).get("args"))
    return any(isinstance(one, str) and "sleep-idle" in one for one in arguments)


def _status(entry: Mapping[str, Any]) -> str | None:
    return text(mapping(entry.get("status")).get("value"), 64)
