"""`provision`: create or update the streams and consumers."""

from typing import Annotated

from cyclopts import Parameter

from vedette import log
from vedette.bus.bus import Bus
from vedette.bus.connection import connect
from vedette.bus.provisioning import provision as provision_streams
from vedette.cli import options
from vedette.cli.output import document, say, waited
from vedette.clock import SystemClock
from vedette.runtime.loop import run
from vedette.runtime.waiting import insist
from vedette.text.figures import counted


def provision(
    *,
    wait: Annotated[
        bool, Parameter(help="Wait for the server while it is away or refuses.", negative=())
    ] = False,
    json: options.Json = False,
    config: options.Config = None,
    where: options.Instance = options.HERE,
) -> int:
    """Make the streams and consumers on the NATS server, or bring them up to date. Twice does nothing."""
    return run(_provision(config, where, wait=wait, as_json=json))


async def _provision(config: str | None, where: options.Instance, *, wait: bool, as_json: bool) -> int:
    settings = options.settings(config)

    async def once() -> list[str]:
        async with connect(where.nats_of(settings), name="vedette-provision") as connection:
            done = await provision_streams(connection, settings)
            bus = Bus(connection, name="operator", clock=SystemClock(), log=log.logger("operator"))
            if dropped := await bus.drop_future_probes():
                done.append(
                    f"deleted {counted(dropped, 'probe job')} with a date in the future (from a wrong clock)"
                )
            return done

    done = await (insist(once, waited) if wait else once())
    if as_json:
        document({"done": done})
        return 0
    for line in done or ["nothing to do: streams and consumers are up to date"]:
        say(line)
    return 0
