"""What callers of the gateway get while what it needs breaks down: 20 requests a second through `vedette up`.

Three scripted servers stand behind it. Each fault is counted by what a caller sees: answered; failed as it should,
which is a clear error or an error event at the end of a stream; failed wrongly, which is a silent end, a broken
connection, or an error where another server could have answered.
"""

import asyncio
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Final

import httpx
from msgspec import Struct

from benchmarks.running import say
from commands import Up, started, up
from eventually import eventually
from providers.replay import Exchange, Handler, Replay, Write, hang, replaying, reply, stream
from vedette.demo.server import serving
from vedette.runtime.subprocesses import free_port

_PER_S: Final = 20
_MODEL: Final = "qwen2.5-7b-instruct"
_HEAD: Final = """
[schedule]
availability = "1h"
[gateway]
enabled = true
port = 0
first_byte_s = 2.0
stall_s = 5.0
at_once = 128
"""
_ENDPOINT: Final = """
[endpoints.{name}]
provider = "openai-compatible"
url = "{url}"
benchmark = false
evaluate = false
verify_capabilities = false
"""
_CHAT: Final = ("POST", "/v1/chat/completions")
_BODY: Final = {"model": "vedette/chat", "messages": [{"role": "user", "content": "hi"}], "stream": True}


def _event(text: str | None, reason: str | None = None) -> str:
    delta = {} if text is None else {"content": text}
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': delta, 'finish_reason': reason}]})}\n"


_EVENTS: Final = (*(_event(word) for word in "abcde"), _event(None, "stop"), "data: [DONE]\n")
_WELL: Final = stream(*_EVENTS, pace_s=0.01)
_LISTED: Final = {"data": [{"id": _MODEL, "object": "model", "owned_by": "vllm", "max_model_len": 4096}]}


async def _ends(_: Exchange, write: Write) -> None:
    raise ConnectionResetError


async def _slow(exchange: Exchange, write: Write) -> None:
    await asyncio.sleep(6.0)
    await _WELL(exchange, write)


class Load:
    """How requests ended: `ok`, `error event`, `silent end`, a status with its code, or how the connection failed."""

    def __init__(
        self, urls: Sequence[str], *, retries: bool = False, per_s: float = _PER_S, **body: object
    ) -> None:
        self.urls = urls
        self._every_s = 1 / per_s
        self._body = {**_BODY, **body}
        self.ended: Counter[str] = Counter()
        self.stale = 0
        self._retries = retries
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send requests meanwhile, and wait for the last."""
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(_client(url)) for url in self.urls]
            sending = asyncio.create_task(self._send(clients))
            try:
                yield
            finally:
                sending.cancel()
                await asyncio.gather(sending, *self._tasks, return_exceptions=True)

    async def _send(self, clients: Sequence[httpx.AsyncClient]) -> None:
        number = 0
        while True:
            task = asyncio.create_task(self._one(clients, number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            number += 1
            await asyncio.sleep(self._every_s)

    async def _one(self, clients: Sequence[httpx.AsyncClient], number: int) -> None:
        told = await self._outcome(clients[number % len(clients)])
        if self._retries and told == "no connection":
            told = await self._outcome(
                clients[(number + 1) % len(clients)]
            )  # as a client with two addresses does
        self.ended[told] += 1

    async def _outcome(self, client: httpx.AsyncClient) -> str:
        try:
            async with client.stream("POST", "chat/completions", json=self._body) as response:
                try:
                    await response.aread()
                except httpx.TransportError:
                    return "broken connection in mid-stream"
        except httpx.TransportError:
            return "no connection"
        self.stale += "x-vedette-stale" in response.headers
        if response.status_code != 200:
            return f"{response.status_code} {response.json()['error']['code']}"
        events = response.text.rstrip().split("\n\n")
        if events[-1] == "data: [DONE]":
            return "ok"
        return "error event" if '"error"' in events[-1] else "silent end"


class Row(Struct, frozen=True, kw_only=True):
    """How requests ended under one fault, and which ends other than an answer are right."""

    fault: str
    ended: Counter[str]
    right: Collection[str] = ()
    note: str = ""

    @property
    def wrong(self) -> dict[str, int]:
        """The requests that failed wrongly, by how they ended."""
        return {how: n for how, n in self.ended.items() if how != "ok" and how not in self.right}

    def __str__(self) -> str:
        failed = {how: n for how, n in self.ended.items() if how in self.right}
        told = [f"{n} {how}" for how, n in sorted((failed | self.wrong).items())]
        return (
            f"| {self.fault} | {self.ended.total()} | {self.ended['ok']} | {sum(failed.values())} | "
            f"{sum(self.wrong.values())} | {'; '.join(filter(None, (*told, self.note)))} |"
        )


HEADING: Final = (
    "| fault | sent | answered | failed as they should | failed wrongly | how |\n|---|---|---|---|---|---|"
)


class Rig:
    """A running `vedette up` with a gateway, and the servers behind it."""

    def __init__(self, running: Up, servers: dict[str, Replay], url: str, file: Path) -> None:
        self.running = running
        self.file = file
        self.servers = servers
        self.url = url

    @property
    def gateway(self) -> int:
        """The process that serves the API."""
        return listening_at(int(self.url.rpartition(":")[2].partition("/")[0]))

    async def first(self) -> Replay:
        """Return the server that a request goes to when no other is in progress."""
        async with _client(self.url) as client:
            told = (await client.post("chat/completions", json=_BODY)).headers["x-vedette-model"]
        return self.servers[told.partition("/")[0]]

    async def at_rest(self) -> None:
        """Wait until no server is set aside and the choice is by a new ranking."""
        for server in self.servers.values():
            server.routes[_CHAT] = _WELL

        async def fresh() -> bool:
            async with _client(self.url) as client:
                response = await client.post("chat/completions", json=_BODY)
            return response.status_code == 200 and "x-vedette-stale" not in response.headers

        await eventually(fresh, what="a choice by a new ranking")


@asynccontextmanager
async def rig(directory: Path) -> AsyncIterator[Rig]:
    """Run it over three servers that reply well."""
    async with AsyncExitStack() as stack:
        servers = {name: await stack.enter_async_context(replaying()) for name in "abc"}
        for one in servers.values():
            one.routes["GET", "/v1/models"] = reply(200, _LISTED)
            one.routes[_CHAT] = _WELL
        config = _HEAD + "".join(_ENDPOINT.format(name=name, url=one.url) for name, one in servers.items())
        running = await stack.enter_async_context(up(directory / "up", config))
        url = (await running.line("gateway")).split()[1]
        await running.line("ready")

        async def all_known() -> bool:
            async with _client(url) as client:
                found = (await client.get("models")).json()["data"]
            return sum(one["id"].endswith(f"/{_MODEL}") for one in found) == len(servers)

        await eventually(all_known, what="three models in the list")
        made = Rig(running, servers, url, (directory / "up").with_suffix(".toml"))
        await made.at_rest()
        yield made


def _client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=180, trust_env=False)


_ONE_SERVER: Final[dict[str, Handler]] = {
    "one server ends connections before the first byte": _ends,
    "one server takes 6 s to the first byte": _slow,
    "one server hangs": hang,
    "one server says 429, Retry-After: 60": reply(429, {"error": {"message": "slow down"}}, Retry_After="60"),
    "one server refuses the key": reply(401, {"error": {"message": "wrong key"}}),
    "one server says 500": reply(500, "oops"),
}


async def measure(directory: Path, *, seconds: float, real: bool) -> None:
    """Go through the faults, each for *seconds*; with *real*, also kill a real llama.cpp. Print the table."""
    rows = list[Row]()

    def told(row: Row) -> None:
        say(str(row))
        rows.append(row)

    async with rig(directory) as one:
        for fault, handler in _ONE_SERVER.items():
            told(await _one_server(one, fault, handler, seconds))
        told(await _every_server(one, "every server breaks off in mid-stream", _BROKEN, seconds, _ERROR))
        told(await _every_server(one, "every server says 429", _BUSY, seconds, ("429 all_busy",)))
        told(await _every_server(one, "every server ends connections", _ends, seconds, ("502 all_failed",)))
        refused = reply(401, {"error": {"message": "wrong key"}})
        told(await _every_server(one, "every server refuses the key", refused, seconds, _REFUSED))
        told(await _stopped(one, "broker frozen", [started_by(one.running, "nats-server")], seconds))
        others = [pid for pid in children(one.running, "apart_main") if pid != one.gateway]
        told(await _stopped(one, "recommender frozen", others, seconds))
        broker = [started_by(one.running, "nats-server")]
        told(await _ended(one, "broker killed (-9) and started again", broker, seconds))
        told(await _left(one, seconds))
        told(await _slow_readers(one, seconds))
        told(await _flaps(one, seconds))
        told(await _killed(one))
        told(await _two_replicas(one, directory, seconds))
        told(await _removed(one, seconds))
    if real:
        told(await _real(directory))
    print(HEADING, *rows, sep="\n")


_BROKEN: Final = stream(*_EVENTS[:2], whole=False)
_ERROR: Final = ("error event",)
_REFUSED: Final = ("424 endpoint_refuses_key",)
_LEAVING: Final = 100
_BUSY: Final = reply(429, {"error": {"message": "slow down"}}, Retry_After="1")


async def _during(one: Rig, fault: Callable[[Load], Awaitable[None]]) -> Load:
    """Return the load around *fault*, from a rest to the next."""
    load = Load([one.url])
    async with load.running():
        await asyncio.sleep(1.0)
        await fault(load)
        await one.at_rest()
        await asyncio.sleep(1.0)
    return load


async def _one_server(one: Rig, fault: str, handler: Handler, seconds: float) -> Row:
    server = await one.first()

    async def broken(_: Load) -> None:
        server.routes[_CHAT] = handler
        await asyncio.sleep(seconds)

    return Row(fault=fault, ended=(await _during(one, broken)).ended)


async def _every_server(
    one: Rig, fault: str, handler: Handler, seconds: float, right: Collection[str]
) -> Row:
    async def broken(_: Load) -> None:
        for server in one.servers.values():
            server.routes[_CHAT] = handler
        await asyncio.sleep(seconds)

    return Row(fault=fault, ended=(await _during(one, broken)).ended, right=right)


async def _stopped(one: Rig, fault: str, pids: Sequence[int], seconds: float) -> Row:
    async def frozen(load: Load) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    load = await _during(one, frozen)
    return Row(fault=fault, ended=load.ended, note=f"{load.stale} by the last ranking")


async def _ended(one: Rig, fault: str, pids: Sequence[int], seconds: float) -> Row:
    async def killed(_: Load) -> None:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(seconds)

    load = await _during(one, killed)
    return Row(fault=fault, ended=load.ended, note=f"{load.stale} by the last ranking")


async def _left(one: Rig, seconds: float) -> Row:
    """Callers leave in the middle of endless streams: for how long the servers go on writing."""
    writing = 0

    async def endless(exchange: Exchange, write: Write) -> None:
        nonlocal writing
        writing += 1
        try:
            await stream(*_EVENTS[:1] * 100_000, pace_s=0.05)(exchange, write)
        finally:
            writing -= 1

    for server in one.servers.values():
        server.routes["POST", "/v1/completions"] = endless
    body, took_s = {"model": "vedette/chat", "prompt": "hi", "stream": True}, 0.0

    async def left(_: Load) -> None:
        nonlocal took_s
        async with _client(one.url) as client, AsyncExitStack() as stack:
            for _i in range(_LEAVING):
                response = await stack.enter_async_context(client.stream("POST", "completions", json=body))
                await anext(response.aiter_raw())
            began = time.monotonic()
        await eventually(lambda: _is(writing == 0), what="the end of all calls")
        took_s = time.monotonic() - began
        await asyncio.sleep(seconds)

    load = await _during(one, left)
    note = f"the last of {_LEAVING} calls ended {took_s:.1f} s after their callers left"
    return Row(fault=f"{_LEAVING} callers leave in mid-stream", ended=load.ended, note=note)


async def _slow_readers(one: Rig, seconds: float) -> Row:
    """200 callers take a flood of text and read none of it."""

    async def floods(_: Exchange, write: Write) -> None:
        await write(b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\n")
        piece = (_event("x" * 60_000) + "\n").encode()
        for _i in range(500):
            await write(piece)

    for server in one.servers.values():
        server.routes["POST", "/v1/completions"] = floods
    body = json.dumps({"model": "vedette/chat", "prompt": "hi", "stream": True}).encode()
    port = int(one.url.rpartition(":")[2].partition("/")[0])
    head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
    before = _resident_mb(one.gateway)
    async with AsyncExitStack() as stack:
        for _i in range(200):
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            stack.callback(writer.close)
            writer.write(head.encode() + body)
        load = await _during(one, lambda _: asyncio.sleep(seconds))
        grown = _resident_mb(one.gateway) - before
    return Row(fault="200 callers do not read", ended=load.ended, note=f"{grown:+.0f} MB in the gateway")


async def _flaps(one: Rig, seconds: float) -> Row:
    """One caller, one request after the other: how often the model changes while all servers are equal."""
    ended, replied = Counter[str](), list[str]()
    async with _client(one.url) as client:
        until = time.monotonic() + 3 * seconds
        while time.monotonic() < until:
            response = await client.post("chat/completions", json=_BODY)
            ended["ok" if response.status_code == 200 else str(response.status_code)] += 1
            replied.append(response.headers.get("x-vedette-model", ""))
            await asyncio.sleep(0.05)
    changes = sum(a != b for a, b in pairwise(replied))
    return Row(fault="none: three equals, one caller", ended=ended, note=f"{changes} changes of the model")


async def _killed(one: Rig) -> Row:
    """Kill the only gateway: `up` starts it again at its address."""

    async def killed(load: Load) -> None:
        os.kill(one.gateway, signal.SIGKILL)
        before = load.ended["ok"]
        await eventually(lambda: _is(load.ended["ok"] > before + _PER_S), what="answers again")

    load = await _during(_Restless(one), killed)
    right = ("no connection", "broken connection in mid-stream", "503 no_recommender")
    return Row(fault="the only gateway killed (-9)", ended=load.ended, right=right)


class _Restless(Rig):
    """A rig that is at rest at once: where requests may fail, nothing is asked to find out."""

    def __init__(self, one: Rig) -> None:
        super().__init__(one.running, one.servers, one.url, one.file)

    async def at_rest(self) -> None:
        """Return at once."""


async def _removed(one: Rig, seconds: float) -> Row:
    """Remove a server from the configuration under load."""
    file = one.file
    removed = await one.first()
    name = next(name for name, server in one.servers.items() if server is removed)
    text = file.read_text()

    async def edited(_: Load) -> None:
        file.write_text(text.replace(_ENDPOINT.format(name=name, url=removed.url), ""))
        await asyncio.sleep(seconds)

    load = await _during(_Restless(one), edited)
    return Row(fault="an endpoint removed from the configuration", ended=load.ended)


async def _two_replicas(one: Rig, directory: Path, seconds: float) -> Row:
    """Kill one of two gateways; callers know both, and try the other where they get no connection."""
    port = free_port()
    file = directory / "second.toml"
    settings = one.file.read_text().replace("port = 0", f"port = {port}")
    file.write_text(f'{settings}\n[nats]\nurl = "{one.running.connection.operator_url}"\n')
    url = f"http://127.0.0.1:{port}/v1"
    async with started(directory, "run", "gateway", "--config", str(file)) as second:

        async def serves() -> bool:
            await second.lives()
            with suppress(httpx.TransportError):
                async with _client(url) as client:
                    return (await client.post("chat/completions", json=_BODY)).status_code == 200
            return False

        await eventually(serves, what="the second gateway")
        load = Load([one.url, url], retries=True)
        async with load.running():
            await asyncio.sleep(1.0)
            second.send(signal.SIGKILL)
            await asyncio.sleep(seconds)
    right = ("broken connection in mid-stream",)
    return Row(fault="one of two gateways killed (-9), callers try the other", ended=load.ended, right=right)


async def _real(directory: Path) -> Row:
    """Kill one of two real llama.cpp servers under load: streams that it has begun end with an error event."""
    async with AsyncExitStack() as stack:
        served = [await stack.enter_async_context(serving(directory, threads=1, within_s=None)) for _ in "ab"]
        head = _HEAD.replace("first_byte_s = 2.0", "first_byte_s = 300.0").replace(
            "stall_s = 5.0", "stall_s = 300.0"
        )
        endpoints = (_ENDPOINT.format(name=name, url=one.url) for name, one in zip("ab", served, strict=True))
        running = await stack.enter_async_context(up(directory / "real", head + "".join(endpoints)))
        url = (await running.line("gateway")).split()[1]
        await running.line("ready")

        async def both_reply() -> bool:
            async with _client(url) as client:
                replies = await asyncio.gather(
                    *(client.post("chat/completions", json={**_BODY, "max_tokens": 2}) for _ in range(4))
                )
            return len({one.headers.get("x-vedette-model") for one in replies if one.status_code == 200}) == 2

        await eventually(both_reply, within_s=600, what="replies of both")
        load = Load([url], per_s=1.0, max_tokens=32)
        async with load.running():
            await asyncio.sleep(10.0)
            os.kill(listening_at(int(served[0].url.rpartition(":")[2])), signal.SIGKILL)
            await asyncio.sleep(10.0)
    return Row(fault="one of two real llama.cpp servers killed (-9)", ended=load.ended, right=_ERROR)


async def _is(what: bool) -> bool:
    return what


def children(running: Up, name: str) -> list[int]:
    """Return the processes of *name* that *running* has started."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            words = place.read_text().rpartition(")")[2].split()
            if (
                int(words[1]) == running.connection.pid
                and name.encode() in (place.parent / "cmdline").read_bytes()
            ):
                found.append(int(place.parent.name))
    return found


def started_by(running: Up, name: str) -> int:
    """Return the one process of *name* that *running* has started."""
    (found,) = children(running, name)
    return found


def listening_at(port: int) -> int:
    """Return the process that listens at *port*."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {words[9] for words in lines if words[1].endswith(f":{port:04X}") and words[3] == "0A"}
    for place in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(place))
            if match and match[1] in inodes:
                return int(place.parts[2])
    raise RuntimeError(f"nothing listens at {port}")


def _resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024
