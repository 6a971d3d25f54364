"""Reads the load of a llama.cpp server, in a way that lets an idle server sleep.

`/slots` shows the number of slots, but sends more than 1 kB for each. So Vedette reads `/slots` and `/metrics` first,
and then `/metrics` only. The number of decodings times the mean number of busy slots is about the number of generated
tokens. It includes requests that still run. Each batch of a prompt counts as one token.

With `--sleep-idle-seconds` the server unloads its model after that time without a task. Reading `/metrics` or `/slots`
is a task: it wakes the server, or restarts the time. Reading `/props` is not (tools/server/server-queue.cpp, 2026-11).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from vedette.clock import Clock
from vedette.errors import ProviderError
from vedette.providers import Activity, _metrics
from vedette.providers._http import Http
from vedette.providers._lenient import count, mapping, sequence
from vedette.providers._metrics import Samples
from vedette.types import Outcome, Residency

# After this idle time, only `/props` is read for REST_S, once. Then it shows whether the server sleeps when idle.
IDLE_BEFORE_REST_S: Final = 600.0
REST_S: Final = 900.0
_OFF: Final = frozenset({Outcome.NOT_FOUND, Outcome.UNSUPPORTED})
_SOURCE: Final = "llama.cpp props"
_DECODINGS: Final = "llamacpp:n_decode_total"
_BUSY_SLOTS: Final = "llamacpp:n_busy_slots_per_decode"  # the mean over all decodings
_WRITTEN_BY_ENDED: Final = "llamacpp:tokens_predicted_total"
# llama.cpp prints six digits. Above that, rounding would hide ten seconds of work.
_MAX_DECODINGS: Final = 1_000_000
_NAMES: Final = (*_metrics.LLAMA_CPP.names, _DECODINGS, _BUSY_SLOTS)


class LlamaCppLoad:
    """Reads the load of one llama.cpp server. It forgets what it learned about the server when a reading fails."""

    def __init__(self, http: Http, *, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._forget()

    def _forget(self) -> None:
        self._may_sleep = True
        self._sleeps = False
        self._has_slots = self._has_metrics = True
        self._slots: int | None = None
        self._drafts = False  # speculative decoding: the number of decodings does not show its tokens
        self._written: int | None = None  # tokens by the metrics; None: `/slots` is needed too
        self._busy = False
        self._idle_since = self._clock.monotonic()

    async def read(self, names: Sequence[str]) -> Activity | None:
        """Return the load; None if the server reports none. *names* are the names of its one model.

        Raises ProviderError.
        """
        try:
            if self._may_sleep and (seen := await self._seen_by_properties(names)) is not None:
                return seen
            return await self._read(names)
        except ProviderError:
            self._forget()  # another server may come in its place
            raise

    async def _seen_by_properties(self, names: Sequence[str]) -> Activity | None:
        """Return the load by `/props` if the server sleeps or may be about to; None if other paths may be read."""
        asleep = mapping(await self._http.get("props")).get("is_sleeping")
        if asleep is None:  # before 2025-12 no server sleeps
            self._may_sleep = False
        elif asleep is True:
            self._sleeps = True
            return Activity(running=0, waiting=0, slots=self._slots, loaded={}, source=_SOURCE)
        rests_for = self._clock.monotonic() - self._idle_since - IDLE_BEFORE_REST_S
        if self._sleeps or 0 <= rests_for < REST_S:
            return Activity(slots=self._slots, loaded=_loaded(names), source=_SOURCE)
        self._may_sleep = self._may_sleep and rests_for < 0
        return None

    async def _read(self, names: Sequence[str]) -> Activity | None:
        seen = await self._by_metrics() if self._written is not None else None
        if seen is None or not seen.counts_live:
            seen = await self._by_both()
        if seen is None:
            return None
        self._busy = bool(seen.requests)
        if self._busy:
            self._idle_since = self._clock.monotonic()
        return msgspec.structs.replace(seen, loaded=_loaded(names))

    async def _by_both(self) -> Activity | None:
        """Return the load by the slots; with the metrics at the first reading, and if slots are or were busy."""
        is_first = self._slots is None
        slots = await self._by_slots() if self._has_slots else None
        asks = is_first or self._busy or slots is None or bool(slots.running)
        return _joined(slots, await self._by_metrics() if asks else None)

    async def _by_slots(self) -> Activity | None:
        try:
            slots = [mapping(one) for one in sequence(await self._http.get("slots"))]
        except ProviderError as error:
            if error.outcome not in _OFF:
                raise
            slots = []
        self._has_slots = bool(slots)
        if not slots:
            return None
        self._slots = len(slots)
        self._drafts = any(one.get("speculative") is True for one in slots)
        running = sum(one.get("is_processing") is True for one in slots)
        return Activity(
            running=running,
            waiting=0 if running < len(slots) else None,  # a request waits only where no slot is free
            slots=len(slots),
            generated_tokens=sum(map(_decoded, slots)),
            source="llama.cpp slots",
        )

    async def _by_metrics(self) -> Activity | None:
        """Return the load by the metrics, or None if the server has none."""
        if not self._has_metrics:
            return None
        try:
            page = await self._http.text("metrics", most_bytes=_metrics.MAX_BYTES)
        except ProviderError as error:
            if error.outcome not in _OFF:
                raise
            page = ""
        samples = _metrics.samples(page, _NAMES)
        found = _metrics.activity(samples, (_metrics.LLAMA_CPP,))
        self._has_metrics = found is not None
        if found is None or self._slots is None:
            return found
        before, self._written = self._written or 0, None if self._drafts else _written(samples)
        found = msgspec.structs.replace(found, slots=self._slots)
        if self._written is None or self._written < before:  # another server may have other slots
            return found
        return msgspec.structs.replace(found, generated_tokens=self._written, counts_live=True)


def _written(samples: Samples) -> int | None:
    """Return the number of tokens of all decodings, requests that still run included; None if it is not reliable.

    It is not reliable before the first generated token (for example on a server that only embeds), nor once the
    server rounds the number of decodings.
    """
    counted = [
        [value for _, value in samples.get(name, ())] for name in (_DECODINGS, _BUSY_SLOTS, _WRITTEN_BY_ENDED)
    ]
    if not all(counted):
        return None
    decodings, busy_slots, ended = (values[0] for values in counted)
    return round(decodings * busy_slots) if ended and decodings < _MAX_DECODINGS else None


def _joined(slots: Activity | None, page: Activity | None) -> Activity | None:
    """Return the load by *slots* and the *page* of metrics together; None if both are missing."""
    if slots is None:
        return page
    if page is None:  # the tokens of ended requests are missing
        return msgspec.structs.replace(slots, generated_tokens=None)
    generated = page.generated_tokens
    if generated is not None and not page.counts_live:
        # The metrics count the tokens of a request when it ends. The slots have the tokens of running requests.
        generated += slots.generated_tokens or 0
    return msgspec.structs.replace(
        page,
        running=slots.running,
        slots=slots.slots,
        generated_tokens=generated,
        counts_live=True,
        source="llama.cpp slots and metrics",
    )


def _decoded(slot: Mapping[str, Any]) -> int:
    if slot.get("is_processing") is not True:
        return 0
    return sum(count(mapping(one).get("n_decoded")) or 0 for one in sequence(slot.get("next_token")))


def _loaded(names: Sequence[str]) -> dict[str, Residency]:
    return {name: Residency(resident=True) for name in names}
