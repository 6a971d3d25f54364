"""Growth: what grows, and for how long, beside an endpoint that lists other names each time.

    python -m faults.growth --minutes 30

One `vedette up` on a directory of its own; the servers run in this process. Every ten seconds it measures the memory of
`vedette up` and of its nats-server, every stream, the disk, and how long ago the healthy models were probed at most.
"""

import argparse
import asyncio
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean

import nats
from msgspec import Struct
from nats.aio.client import Client as NatsClient

from commands import Up, up
from vedette.messages.codec import decode_event
from vedette.messages.events import ModelProbed

MIB = 2**20
# Between two probes of a healthy model: the interval and what a round of 900 models takes on two processors.
LATE_S = 60.0
# The last part of a run against the part before, and how many parts the run has. Streams keep 200 messages a model:
# they are full after some 24 of 30 minutes, so the disk is compared late.
LEVEL = 1.15
LEVEL_FOR = {"up_mib": 4, "nats_mib": 4, "subjects": 4, "disk_mib": 6}

CONFIG = """
[schedule]
availability = "{every_s}s"
discovery = "{every_s}s"
"""
ENDPOINT = """
[endpoints.{name}]
provider = "openai-compatible"
url = "{url}"
benchmark = false
evaluate = false
verify_capabilities = false
"""


class Sample(Struct, frozen=True, kw_only=True):
    """What was there at a moment."""

    minute: float
    up_mib: float
    nats_mib: float
    disk_mib: float
    stream_mib: dict[str, float]
    subjects: int  # of MODELS
    oldest_s: float | None  # since a healthy model was last probed, of the one that waits longest

    def line(self) -> str:
        """Return it as a row."""
        streams = sum(self.stream_mib.values())
        oldest = "-" if self.oldest_s is None else f"{self.oldest_s:.0f}"
        return (
            f"{self.minute:7.1f} {self.up_mib:9.0f} {self.nats_mib:9.0f} {self.disk_mib:9.0f} {streams:9.0f}"
            f" {self.subjects:9d} {oldest:>9}"
        )


@asynccontextmanager
async def serving(names: Callable[[], list[str]]) -> AsyncIterator[str]:
    """Serve an OpenAI-compatible listing of *names*, called for each request; yield the URL."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                path = line.decode().split(" ")[1]
                listed = (
                    [{"id": name, "object": "model"} for name in names()] if path == "/v1/models" else None
                )
                body = json.dumps({"object": "list", "data": listed} if listed is not None else {}).encode()
                status = b"200 OK" if listed is not None else b"404 Not Found"
                writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\n")
                writer.write(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def churning(count: int) -> Callable[[], list[str]]:
    """Return what lists *count* names that no listing before had."""
    listings = itertools.count()

    def names() -> list[str]:
        listing = next(listings)
        return [f"{'n' * 60}-{listing}-{number}-7b" for number in range(count)]

    return names


def _rss_mib(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MIB
    except OSError:
        return 0.0


def _nats_pid(state: Path) -> int:
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(state / "nats" / "nats-server.conf").encode() in place.read_bytes():
                return int(place.parent.name)
        except OSError:
            continue
    return 0


def _disk_mib(state: Path) -> float:
    total = 0
    for root, _, files in os.walk(state):
        for name in files:
            try:
                total += (Path(root) / name).stat().st_blocks * 512
            except OSError:
                continue
    return total / MIB


async def _sample(
    running: Up, state: Path, connection: NatsClient, oldest_s: float | None, began: float
) -> Sample:
    # nats-py leaves the number of subjects out.
    listed = json.loads((await connection.request("$JS.API.STREAM.LIST", b"", timeout=30)).data)
    streams = {stream["config"]["name"]: stream["state"] for stream in listed["streams"]}
    return Sample(
        minute=(time.monotonic() - began) / 60,
        up_mib=_rss_mib(running.connection.pid),
        nats_mib=_rss_mib(_nats_pid(state)),
        disk_mib=await asyncio.to_thread(_disk_mib, state),
        stream_mib={name: stream["bytes"] / MIB for name, stream in streams.items()},
        subjects=streams["MODELS"].get("num_subjects", 0),
        oldest_s=oldest_s,
    )


async def grow(directory: Path, *, minutes: float, churn: int, healthy: int, every_s: int) -> list[Sample]:
    """Run it and return what was measured."""
    state, probed = directory / "state", dict[str, datetime]()
    async with AsyncExitStack() as stack:
        config = CONFIG.format(every_s=every_s)
        for name in ("one", "two", "three"):
            names = [f"{name}-{number}-7b" for number in range(healthy)]
            url = await stack.enter_async_context(serving(lambda names=names: names))  # type: ignore[misc]
            config += ENDPOINT.format(name=name, url=url)
        url = await stack.enter_async_context(serving(churning(churn)))
        config += ENDPOINT.format(name="churn", url=url)
        running = await stack.enter_async_context(up(state, config))
        await running.line("ready")
        connection = await nats.connect(running.connection.operator_url, max_reconnect_attempts=-1)
        stack.push_async_callback(connection.close)

        async def heard(message: object) -> None:
            event = decode_event(message.subject, message.data)  # type: ignore[attr-defined]
            assert isinstance(event, ModelProbed)
            probed[str(event.model)] = event.at

        for name in ("one", "two", "three"):
            await connection.subscribe(f"model.probed.{name}.*", cb=heard)
        began, samples = time.monotonic(), list[Sample]()
        print("minutes    up MiB  nats MiB  disk MiB   streams  subjects  oldest s", flush=True)
        while time.monotonic() - began < 60 * minutes:
            await asyncio.sleep(10)
            await running.lives()
            complete = len(probed) == 3 * healthy
            oldest = (datetime.now(UTC) - min(probed.values())).total_seconds() if complete else None
            samples.append(await _sample(running, state, connection, oldest, began))
            print(samples[-1].line(), flush=True)
        for name, size in sorted(samples[-1].stream_mib.items()):
            print(f"{name:10} {size:8.1f} MiB")
        print((await running.ask("endpoints")).out)
        await running.stop()
    return samples


def verdict(samples: list[Sample]) -> list[str]:
    """Return what did not level off, or came late; nothing when all is well."""
    found = []
    for name, parts in LEVEL_FOR.items():
        size = len(samples) // parts
        before, after = samples[-2 * size : -size], samples[-size:]
        was, became = (mean(getattr(sample, name) for sample in part) for part in (before, after))
        if became > was * LEVEL:
            found.append(f"{name} grew from {was:.0f} to {became:.0f} in the last two of {parts} parts")
    second_half = samples[len(samples) // 2 :]
    late = [sample.oldest_s for sample in second_half if sample.oldest_s is None or sample.oldest_s > LATE_S]
    if late:
        found.append(f"healthy models were probed late {len(late)} times: {late[:5]}")
    return found


def main() -> None:
    """Run it from the command line; exit with 1 when something grew."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--churn", type=int, default=2000, help="new names at each listing")
    parser.add_argument("--healthy", type=int, default=300, help="models at each of three endpoints")
    parser.add_argument("--every-s", type=int, default=5, help="between probes")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        samples = asyncio.run(
            grow(
                Path(directory),
                minutes=told.minutes,
                churn=told.churn,
                healthy=told.healthy,
                every_s=told.every_s,
            )
        )
    problems = verdict(samples)
    print("\n".join(problems) or "everything levels off; healthy models are probed in time")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
