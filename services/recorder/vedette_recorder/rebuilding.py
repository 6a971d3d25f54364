"""`rebuild`: put the last known state back into streams that the broker has lost.

The last message of a subject is the current state, and the database has a complete copy of it. Each message goes back
to its subject if that is empty, in the original order. Definitions of endpoints come first, because models of an
endpoint that is not in force become lost. Messages that are already there come from running services or from an earlier
rebuild. They are newer or equal, so they stay.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import nullcontext
from typing import Literal

import nats.js.errors
import sqlalchemy as sa
from msgspec import Struct
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from vedette import log
from vedette.bus.bus import Bus
from vedette.bus.connection import connect
from vedette.cli import options
from vedette.cli.output import document, err, say
from vedette.client import definitions
from vedette.clock import SystemClock
from vedette.errors import ProvisioningError, UndecodableMessage
from vedette.messages import subjects
from vedette.messages.codec import decode_event
from vedette.messages.events import Event, Lifecycle
from vedette.runtime.loop import run
from vedette_recorder import streams, tables
from vedette_recorder.store import Store

_CHUNK = 200
_TABLE = tables.current_state
Became = Literal["restored", "present", "outdated"]


class Rebuilt(Struct, frozen=True, kw_only=True):
    """How many states were put back, were already there, or are older than the model's state in the stream."""

    restored: int = 0
    present: int = 0
    outdated: int = 0


def rebuild(
    *, json: options.Json = False, config: options.Config = None, where: options.Instance = options.HERE
) -> int:
    """Put the last known state of endpoints, models and reports back into streams that have lost it.

    For after the broker has lost its data. Twice does nothing; what is in a stream is never replaced.
    """
    return run(_rebuild(json, config, where))


async def _rebuild(as_json: bool, config: str | None, where: options.Instance) -> int:
    settings = options.settings(config)
    bars = Progress(
        TextColumn("putting back"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=err
    )
    task = bars.add_task("", total=None)

    def show(done: int, total: int) -> None:
        bars.update(task, completed=done, total=total)

    async with (
        Store(where.database_of(settings)) as store,
        connect(where.nats_of(settings), name="vedette-operator") as connection,
    ):
        bus = Bus(connection, name="operator", clock=SystemClock(), log=log.logger("operator"))
        with bars if err.is_terminal else nullcontext():
            rebuilt = await restore(bus, store, show)
    if as_json:
        document(rebuilt)
    else:
        say(f"restored  {rebuilt.restored:,}")
        say(f"present   {rebuilt.present:,} were there already")
        say(f"outdated  {rebuilt.outdated:,} are older than what the stream knows of their model")
    return 0


async def restore(bus: Bus, store: Store, show: Callable[[int, int], None] = lambda *_: None) -> Rebuilt:
    """Put the current state of *store* back into the streams; *show* is called with the progress.

    Raises ProvisioningError when a stream is not there at all.
    """
    keys = [_TABLE.c[name] for name in ("subject", "stream", "stream_created_at", "sequence")]
    # A stream that was recreated counts from 1 again, so its own time comes first.
    places = await store.read(sa.select(*keys).order_by(_TABLE.c.stream_created_at, _TABLE.c.sequence))
    places = sorted(places, key=lambda place: place["stream"] != definitions.STREAM)  # stable
    for stream in sorted({place["stream"] for place in places}):
        await _require(bus, stream)
    counts = dict.fromkeys(Rebuilt.__struct_fields__, 0)
    async for row in _whole(store, [place["subject"] for place in places]):
        counts[await _put_back(bus, row)] += 1
        show(sum(counts.values()), len(places))
    return Rebuilt(**counts)


async def _require(bus: Bus, stream: str) -> None:
    try:
        await bus.js.stream_info(stream)
    except nats.js.errors.NotFoundError as error:
        problem = 'not there; "vedette provision" makes it, and so does "vedette up"'
        raise ProvisioningError(stream=stream, problem=problem) from error


async def _whole(store: Store, names: Sequence[str]) -> AsyncIterator[sa.RowMapping]:
    """Yield the rows of the subjects *names* in that order, a few at a time in memory."""
    for begin in range(0, len(names), _CHUNK):
        some = names[begin : begin + _CHUNK]
        rows = await store.read(sa.select(_TABLE).where(_TABLE.c.subject.in_(some)))
        by_subject = {row["subject"]: row for row in rows}
        for name in some:
            if name in by_subject:  # a model may be forgotten meanwhile
                yield by_subject[name]


async def _put_back(bus: Bus, row: sa.RowMapping) -> Became:
    event = _event(row)
    if isinstance(event, Lifecycle):
        return await _put_back_lifecycle(bus, row, event)
    return await _publish(bus, row, after=(row["subject"], 0))


async def _put_back_lifecycle(bus: Bus, row: sa.RowMapping, event: Lifecycle) -> Became:
    """Restore a model's lifecycle, unless the stream has newer events.

    The last of found, changed and lost in the stream counts, on any of these subjects. If a model was found again, an
    old `lost` on an empty subject, published after that `found`, would lose it again.
    """
    if await bus.streams.last(row["stream"], row["subject"]) is not None:
        return "present"
    state = await bus.streams.read_model(event.model)
    if state.lifecycle is not None and state.lifecycle.event.at >= event.at:
        return "outdated"
    return await _publish(bus, row, after=(subjects.of_model("*", event.model), state.sequence))


async def _publish(bus: Bus, row: sa.RowMapping, *, after: tuple[str, int]) -> Became:
    sequence = await streams.put_back(bus, row["subject"], row["payload"], row["headers"], after=after)
    return "present" if sequence is None else "restored"


def _event(row: sa.RowMapping) -> Event | None:
    try:
        return decode_event(row["subject"], row["payload"])
    except UndecodableMessage:
        return None  # of another version, and still the state
