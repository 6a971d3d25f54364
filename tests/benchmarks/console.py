"""What pages of the console take: time and bytes of each, beside a page of the same size that says nothing.

The recommender is in the same process: the time of a page holds that of its queries, without NATS. `python -m
benchmarks.console MODELS RATE` serves such a console, with RATE events a second, until its standard input ends; with
`bare BYTES` a page of that size and nothing else.
"""

import asyncio
import gc
import gzip
import statistics
import sys
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, TypeVar

import httpx
from rich.console import Console as Screen
from rich.table import Table
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.machine import Cpu, resident_mb
from consoles import Rig, fleet
from samples import benchmark_event
from vedette.runtime import web
from vedette.runtime.process import COLLECT_AFTER
from vedette.testing import EPOCH
from vedette.types import ModelRef

PATHS = ("/", "/why/chat", "/models", "/models?bars=1", "/models/gpu/qwen3:8b", "/compare", "/endpoints")
_WARM = 5
STREAMS, LOOKS = 200, 20
RATES = (1.0, 8.0)  # events a second
T = TypeVar("T")


def _bare(body: bytes) -> Starlette:
    """Return an application that sends *body*."""

    async def page(_: Request) -> Response:
        return Response(body, media_type="text/html")

    return Starlette(routes=[Route("/", page)])


def raw(body: bytes) -> httpx.AsyncClient:
    """Return a client of an application that sends *body*."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=_bare(body)), base_url="http://127.0.0.1")


async def timed(client: httpx.AsyncClient, path: str) -> float:
    """Return the milliseconds of one request."""
    began = time.perf_counter()
    reply = await client.get(path)
    assert reply.status_code == 200, reply.text
    return 1000 * (time.perf_counter() - began)


async def computed(client: httpx.AsyncClient, path: str) -> tuple[float, float]:
    """Return the milliseconds of one request to an application of this process: by the clock, and of the processor."""
    began = time.process_time()
    by_clock = await timed(client, path)
    return by_clock, 1000 * (time.process_time() - began)


async def pages(models: int, requests: int) -> None:
    """Print what each page takes, and a raw page of its size in turns with it.

    Other work on the machine lengthens the time by the clock, and that of the processor far less.
    """
    gc.set_threshold(*COLLECT_AFTER)  # as processes of services do
    rig = Rig(fleet(models))
    table = Table("page", "bytes", "packed", title=f"{models:,} models; by the clock / of the processor")
    for column in ("p50 ms", "p95 ms", "raw p50 ms", "raw p95 ms"):
        table.add_column(column)
    async with rig.client(**{"accept-encoding": "identity"}) as browser:
        for path in PATHS:
            body = (await browser.get(path)).content
            ours, theirs = [], []
            async with raw(body) as bare:
                for _ in range(_WARM + requests):
                    rig.clock.advance(2)  # nothing that was kept for a second is used
                    ours.append(await computed(browser, path))
                    theirs.append(await computed(bare, "/"))
            table.add_row(
                path,
                f"{len(body):,}",
                f"{len(gzip.compress(body, 5)):,}",
                *(
                    " / ".join(f"{at(times, q):.1f}" for times in zip(*some[_WARM:], strict=True))
                    for some in (ours, theirs)
                    for q in (50, 95)
                ),
            )
    Screen(width=120).print(table)


def at(values: Sequence[float], percent: int) -> float:
    """Return the percentile of *values*."""
    return statistics.quantiles(values, n=100)[percent - 1]


async def serve(models: int, rate: float) -> None:
    """Serve a console, print its URL, and let *rate* events happen a second until standard input ends."""
    gc.set_threshold(*COLLECT_AFTER)
    rig = Rig(fleet(models))
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    async with rig.served() as url:
        print(url, flush=True)
        for number in count():
            if ended.done():
                break
            await asyncio.wait([ended], timeout=1 / rate)
            rig.clock.advance(1 / rate)
            rig.hear(benchmark_event(ModelRef("gpu", "qwen3:8b"), at=EPOCH, tps=90.0 + number % 20))


async def serve_bare(size: int) -> None:
    """Serve a bare page of *size* bytes and print its URL, until standard input ends."""
    app = _bare(b"x" * size)
    async with web.listening(app, "127.0.0.1", 0, section="benchmark", closing_s=1) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


@asynccontextmanager
async def _served(*what: str) -> AsyncIterator[tuple[str, int]]:
    """Run this module with the arguments *what*; give its URL and its process."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.console", *what,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdin
    assert child.stdout
    yield (await child.stdout.readline()).decode().strip(), child.pid
    child.stdin.close()
    await child.wait()


async def opened(models: int, rate: float, pages: int, seconds: float) -> None:
    """Print what a console uses at *rate* events a second while so many *pages* are open; and a bare server."""
    async with _served(str(models), str(rate)) as (url, pid):
        async with httpx.AsyncClient(base_url=url, timeout=60) as browser:
            size = len((await browser.get("/", headers={"hx-request": "true"})).content)
        empty_mb = resident_mb(pid)
        idle = await _used(pid, seconds / 3)
        asked = [0]
        used = await _while(
            [_page(url, number / pages, asked) for number in range(pages)], _used(pid, seconds)
        )
        print(
            f"{models:,} models, {pages} open pages, {rate:g} events a second: {used:.1%} of a core "
            f"(without pages {idle:.1%}), {asked[0] / seconds:.0f} pages a second, {resident_mb(pid):.0f} MB "
            f"(at the start {empty_mb:.0f} MB), recommender included"
        )
        alone = await _latencies(url)
        beside = await _while([_never_reads(url) for _ in range(STREAMS)], _latencies(url))
        print(
            f"Now, p50 and p95 of {LOOKS} requests: {at(alone, 50):.1f} and {at(alone, 95):.1f} ms; while {STREAMS} "
            f"event streams are open and never read: {at(beside, 50):.1f} and {at(beside, 95):.1f} ms"
        )
    async with _served("bare", str(size)) as (url, pid):
        asked = [0]
        used = await _while([_each_second(url, asked) for _ in range(pages)], _used(pid, seconds))
        print(
            f"a bare server of a page of that size ({size:,} bytes): {used:.1%} of a core, "
            f"{asked[0] / seconds:.0f} pages a second, {resident_mb(pid):.0f} MB"
        )


async def _while(others: Sequence[Coroutine[Any, Any, None]], work: Coroutine[Any, Any, T]) -> T:
    """Return the result of *work*, during which *others* go on."""
    tasks = [asyncio.create_task(other) for other in others]
    try:
        return await work
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _latencies(url: str) -> list[float]:
    """Return how long *Now* takes over HTTP (ms), each time worked out again."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as browser:
        found = []
        for _ in range(LOOKS):
            await asyncio.sleep(1.1)  # what twenty pages share is a second old at most
            found.append(await timed(browser, "/"))
    return found


async def _never_reads(url: str) -> None:
    """Open an event stream, and read nothing of it."""
    host, _, port = url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port), limit=1)
    writer.write(f"GET /api/v1/events HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n".encode())
    try:
        await asyncio.Event().wait()
    finally:
        writer.transport.abort()


async def _each_second(url: str, asked: list[int]) -> None:
    """Ask for the page each second."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as browser:
        while True:
            await browser.get("/")
            asked[0] += 1
            await asyncio.sleep(1.0)


async def _used(pid: int, seconds: float) -> float:
    before = Cpu.now(pid)
    await asyncio.sleep(seconds)
    return Cpu.now(pid).since(before)[0] / seconds


async def _page(url: str, opened_after_s: float, asked: list[int]) -> None:
    """Do what a browser does that has *Now* open."""
    await asyncio.sleep(opened_after_s)
    async with httpx.AsyncClient(base_url=url, timeout=60) as browser, browser.stream("GET", "/live") as live:
        async for line in live.aiter_lines():
            if line.startswith("data:"):
                await browser.get("/", headers={"hx-request": "true"})
                asked[0] += 1


async def main(models: Sequence[int], requests: int, open_pages: int, seconds: float) -> None:
    """Print both for each number of *models*."""
    for number in models:
        await pages(number, requests)
        for rate in RATES:
            await opened(number, rate, open_pages, seconds)


if __name__ == "__main__":
    asyncio.run(
        serve_bare(int(sys.argv[2])) if sys.argv[1] == "bare" else serve(int(sys.argv[1]), float(sys.argv[2]))
    )
