"""Forgets lost models: deletes them from the streams and from the current state in SQL. History ages as always.

The last message of a subject never expires, so names that come and go would fill the stream of models. Only the
recorder knows what is recorded, and it purges only recorded messages (ADR 0015).
"""

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial

import nats.errors

from vedette.bus.bus import Bus
from vedette.messages import subjects
from vedette.messages.forgetting import forgettable
from vedette.types import ModelRef
from vedette_recorder import streams
from vedette_recorder.errors import DatabaseUnavailable
from vedette_recorder.record import CurrentRow
from vedette_recorder.store import Store

FORGET_EVERY_S = 60.0
_AT_ONCE = 100
# All that a model has on each stream.
_SUBJECT: Mapping[str, Callable[[ModelRef], str]] = {
    "MODELS": partial(subjects.of_model, "*"),
    "REPORTS": subjects.of_report,
}


_NEVER = datetime.min.replace(tzinfo=UTC)


class Compaction:
    """Purges the subjects of models that the rule forgets, then their current state. Replicas may do it at once.

    History before *cutoff* may be deleted. It is None while the clock may be wrong (ADR 0013); then no model is
    forgotten for its age.
    """

    def __init__(self, *, bus: Bus, store: Store, cutoff: Callable[[], Awaitable[datetime | None]]) -> None:
        self._bus = bus
        self._store = store
        self._cutoff = cutoff

    async def run(self) -> None:
        """Forget until cancelled; without broker or database, the next round does it."""
        while True:
            await asyncio.sleep(FORGET_EVERY_S)
            try:
                forgotten = await self.forget()
            except (DatabaseUnavailable, nats.errors.Error, TimeoutError) as error:
                self._bus.log.warning("compaction.deferred", error=f"{type(error).__name__}: {error}")
            else:
                if forgotten:
                    self._bus.log.info("models.forgotten", models=forgotten)

    async def forget(self) -> int:
        """Forget the models that the rule selects now; return how many."""
        old = forgettable(await self._store.lost_models(), before=await self._cutoff() or _NEVER)
        models = list(dict.fromkeys([*await self._store.renamed_models(), *old]))
        if not models:
            return 0
        created = {stream: (await self._bus.js.stream_info(stream)).created for stream in _SUBJECT}
        forgotten = 0
        for first in range(0, len(models), _AT_ONCE):
            rows = await self._store.current_rows(models[first : first + _AT_ONCE])
            lost = [model for model in models[first : first + _AT_ONCE] if is_lost(model, rows)]
            # The stream first: a crash between the two leaves the rows by which the next round finds them again.
            for (model, stream), through in last_recorded(rows, lost, created).items():
                await streams.purge(self._bus, stream, _SUBJECT[stream](model), through=through)
            forgotten += await self._store.forget(lost)
        return forgotten


def is_lost(model: ModelRef, rows: Iterable[CurrentRow]) -> bool:
    """Return whether the newest lifecycle event of *model* among *rows* is its loss."""
    newest = max(
        (row for row in rows if row.ref == model and row.kind in ("found", "changed", "lost")),
        key=lambda row: (row.stream_created_at, row.sequence),
        default=None,
    )
    return newest is None or newest.kind == "lost"


def last_recorded(
    rows: Iterable[CurrentRow], models: Container[ModelRef], created: Mapping[str, datetime | None]
) -> dict[tuple[ModelRef, str], int]:
    """Return the last recorded sequence of each of *models* in each stream; none of a recreated stream since.

    A model that was found again meanwhile has messages after that, which are not to be purged.
    """
    last: dict[tuple[ModelRef, str], int] = {}
    for row in rows:
        if row.ref in models and row.stream_created_at == created.get(row.stream):
            key = (row.ref, row.stream)
            last[key] = max(last.get(key, 0), row.sequence)
    return last
