"""`dead list|show|replay|drop`: dead letters in the stream DEAD and in the recorder's database."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any

import msgspec
import nats.errors
import nats.js.errors
from cyclopts import Parameter

from vedette import log
from vedette.bus.bus import Bus
from vedette.bus.connection import connect
from vedette.cli import options
from vedette.cli.fitting import Column
from vedette.cli.output import complain, document, err, out, say, sheet, styled
from vedette.clock import SystemClock
from vedette.errors import NoAnswer, RequestError, VedetteError
from vedette.runtime.loop import run
from vedette.text.figures import counted, number
from vedette_recorder.dead_letters import Result, Whole, letters
from vedette_recorder.store import Store

_Ids = Annotated[str, Parameter(help="Ids of dead letters, or their beginnings.")]
_All = Annotated[bool, Parameter(name="--all", negative="", help="All dead letters.")]


def list_(
    *, json: options.Json = False, config: options.Config = None, where: options.Instance = options.HERE
) -> int:
    """List dead letters: of services (in the stream DEAD) and of the recorder (in its database)."""
    return run(_list(json, config, where))


def show(
    letter: Annotated[str, Parameter(help="Id of the dead letter, or its beginning.")],
    /,
    *,
    json: options.Json = False,
    config: options.Config = None,
    where: options.Instance = options.HERE,
) -> int:
    """Show the dead letter `LETTER` (its id, or the beginning of it) whole, with its message."""
    return run(_show(letter, json, config, where))


def replay(
    *ids: _Ids,
    every: _All = False,
    json: options.Json = False,
    config: options.Config = None,
    where: options.Instance = options.HERE,
) -> int:
    """Retry the dead letters of these IDS, for example after an upgrade. What fails again stays.

    Events are recorded; jobs and deliveries to webhooks are queued. It is safe to do this twice. Ticks, and events that
    a service could not handle, are not published again, because they are out of date.
    """
    return run(_replay(ids, every, json, config, where))


def drop(
    *ids: _Ids,
    every: _All = False,
    yes: Annotated[bool, Parameter(name="--yes", negative="", help="Do not ask for confirmation.")] = False,
    json: options.Json = False,
    config: options.Config = None,
    where: options.Instance = options.HERE,
) -> int:
    """Delete the dead letters of these IDS for good."""
    return run(_drop(ids, every, yes, json, config, where))


class _Places:
    """The two places, if they can be read now, or the reason why not."""

    def __init__(self, bus: Bus | None, store: Store | None, unread: list[str]) -> None:
        self._bus = bus
        self._store = store
        self.unread = unread

    async def all(self) -> list[Whole]:
        """Return every dead letter."""
        return [whole async for whole in letters(bus=self._bus, store=self._store)]

    async def chosen(self, named: Sequence[str], every: bool) -> list[Whole]:
        """Return the dead letters that *named* means, or all. Raises RequestError for what means none, or several."""
        if every == bool(named):
            raise RequestError(
                code="invalid_value", message="give ids of dead letters, or --all", field="letters"
            )
        found = await self.all()
        if every:
            return found
        return [self._one(name, found) for name in dict.fromkeys(named)]

    def _one(self, name: str, found: Sequence[Whole]) -> Whole:
        meant = [whole for whole in found if name and whole.letter.id.startswith(name)]
        if len(meant) != 1:
            problem = "several dead letters match" if meant else "no such dead letter; see vedette dead list"
            raise RequestError(code="unknown_letter", message=f"{name}: {problem}", field="letters")
        return meant[0]


@asynccontextmanager
async def _places(config: str | None, where: options.Instance) -> AsyncIterator[_Places]:
    """Open the readable ones of the two places. Raises NoAnswer if neither can be read."""
    settings, unread = options.settings(config), []
    async with AsyncExitStack() as stack:
        bus = store = None
        try:
            connection = await stack.enter_async_context(
                connect(where.nats_of(settings), name="vedette-operator")
            )
            bus = Bus(connection, name="operator", clock=SystemClock(), log=log.logger("operator"))
            await bus.js.stream_info("DEAD")
        except (VedetteError, nats.errors.Error, TimeoutError) as error:
            bus = None
            unread.append(f"the stream DEAD cannot be read: {error}")
        try:
            store = await stack.enter_async_context(Store(where.database_of(settings)))
            await store.position("MODELS")
        except VedetteError as error:
            store = None
            unread.append(f"the recorder's database cannot be read: {error}")
        if bus is None and store is None:
            raise NoAnswer(code="unavailable", message="; ".join(unread))
        for problem in unread:
            complain(problem)
        yield _Places(bus, store, unread)


async def _list(as_json: bool, config: str | None, where: options.Instance) -> int:
    async with _places(config, where) as places:
        listed = [whole.letter for whole in await places.all()]
    if as_json:
        document({"letters": listed, "unread": places.unread})
    elif not listed:
        say("no dead letters")
    else:
        rows = [
            (
                letter.id,
                f"{letter.at:%Y-%m-%d %H:%M:%S}",
                letter.where,
                letter.subject,
                number(letter.bytes),
                letter.reason,
            )
            for letter in listed
        ]
        columns = (
            Column("id", 0, "name"),
            Column("at (UTC)", 3),
            Column("given up by", 2),
            Column("subject", 1, "name"),
            Column("bytes", 4, "number"),
            Column("reason"),
        )
        sheet(columns, rows)
    return 1 if places.unread else 0


async def _show(name: str, as_json: bool, config: str | None, where: options.Instance) -> int:
    async with _places(config, where) as places:
        (whole,) = await places.chosen([name], every=False)
    letter = whole.letter
    if as_json:
        document({"letter": letter, "headers": whole.headers, "payload": _readable(whole.payload)})
        return 0
    facts = {
        "dead letter": letter.id,
        "at": f"{letter.at:%Y-%m-%dT%H:%M:%SZ}",
        "given up by": letter.where,
        "subject": letter.subject,
        "message": f"{letter.sequence} of {letter.stream}" if letter.stream else "-",
        "reason": letter.reason,
        **({"refused by": ", ".join(letter.tables)} if letter.tables else {}),
        **whole.headers,
    }
    for fact, value in facts.items():
        out.print(styled((f"{fact}: ", "bold"), value))
    payload = _readable(whole.payload)
    say(f"\n{payload if isinstance(payload, str) else msgspec.json.format(whole.payload, indent=2).decode()}")
    return 0


def _readable(payload: bytes) -> Any:
    """Return *payload* as the value that its JSON stands for, else as text with everything else escaped."""
    try:
        return msgspec.json.decode(payload, type=dict[str, Any] | list[Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return payload.decode("utf-8", "backslashreplace")


async def _replay(
    named: Sequence[str], every: bool, as_json: bool, config: str | None, where: options.Instance
) -> int:
    async with _places(config, where) as places:
        results: list[Result] = []
        for whole in await places.chosen(named, every):
            results.append(await whole.replay())
            if not as_json:
                say(f"{results[-1].id}  {results[-1].subject}: {results[-1].detail}")
    done = sum(result.done for result in results)
    if as_json:
        document({"results": results, "done": done, "left": len(results) - done})
    else:
        say(f"{done} of {len(results)} done")
    return 0 if done == len(results) and not places.unread else 1


async def _drop(
    named: Sequence[str],
    every: bool,
    yes: bool,
    as_json: bool,
    config: str | None,
    where: options.Instance,
) -> int:
    async with _places(config, where) as places:
        chosen = await places.chosen(named, every)
        if chosen and not yes and not await _agreed(len(chosen)):
            complain("nothing was dropped; --yes drops without asking")
            return 1
        dropped = [whole.letter.id for whole in chosen if await whole.drop()]
    if as_json:
        document({"dropped": dropped})
    else:
        say(f"{len(dropped)} dropped")
    return 1 if places.unread else 0


async def _agreed(count: int) -> bool:
    err.print(f"Drop {counted(count, 'dead letter')} for good? [y/N] ", end="")
    try:
        return (await asyncio.to_thread(input)).strip().lower() in ("y", "yes")
    except EOFError:
        return False
