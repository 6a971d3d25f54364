"""The main module of a service in its own process (`vedette.runtime.apart`): `python -m vedette.runtime.apart_main`."""

import asyncio
import sys
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from vedette.cancelling import cancel
from vedette.errors import ChildFailed, Interrupted, VedetteError
from vedette.runtime import process
from vedette.runtime.apart import MAX_LINE_BYTES, Reload, Said, Start
from vedette.runtime.loop import run
from vedette.runtime.stopping import stop_signals


def _say(line: Said) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
    sys.stdout.buffer.flush()


async def _lines() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    return reader


async def _serve() -> None:
    lines = await _lines()
    start = msgspec.json.decode(await lines.readline(), type=Start)
    async with stop_signals() as stopped:
        try:
            async with AsyncExitStack() as stack:
                async with stopped.interrupting():
                    running = await stack.enter_async_context(process.run(start.settings, [start.name]))
                (service,) = running.services
                _say(Said(health_url=running.connection.health_url))
                taking = asyncio.create_task(_take_on(lines, service))
                try:
                    await process.until_stopped(running, stopped)
                finally:
                    await cancel([taking])
        except Interrupted:
            raise
        except VedetteError as error:
            _say(Said.of(error))
            raise SystemExit(1) from error


async def _take_on(lines: asyncio.StreamReader, service: Any) -> None:
    """Apply each line of settings to *service*, and reply with the result."""
    while line := await lines.readline():
        asked = msgspec.json.decode(line, type=Reload)
        try:
            await service.reload(asked.settings)
        except VedetteError as error:
            _say(Said.of(error, asked.id))
        except Exception as error:  # noqa: BLE001 - the parent refuses the configuration, and says why
            _say(Said.of(ChildFailed(problem=f"{type(error).__name__}: {error}"), asked.id))
        else:
            _say(Said(id=asked.id))


if __name__ == "__main__":
    try:
        run(_serve())
    except KeyboardInterrupt:
        sys.exit(130)
    except Interrupted as error:
        sys.exit(128 + error.number)
