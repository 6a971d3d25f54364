"""A small HTTP server that plays back recorded exchanges, and can misbehave in every way a server can."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

FIXTURES = Path(__file__).parent / "fixtures"


class Exchange(Struct, frozen=True, kw_only=True):
    """A request as the server got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any

    @property
    def model(self) -> str | None:
        """The model it names."""
        return self.body.get("model") if isinstance(self.body, dict) else None


_NEVER: list[asyncio.Event] = []  # kept: Python collects a task that only waits for what it holds itself
Write = Callable[[bytes], Awaitable[None]]
Handler = Callable[[Exchange, Write], Awaitable[None]]


def reply(status: int, body: bytes | str | object = b"", **headers: str) -> Handler:
    """Return a handler that answers *status* with *body* (bytes, text, or anything as JSON)."""
    raw = (
        body
        if isinstance(body, bytes)
        else body.encode()
        if isinstance(body, str)
        else json.dumps(body).encode()
    )
    lines = {
        "Content-Length": str(len(raw)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    head = (
        f"HTTP/1.1 {status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items()) + "\r\n"
    )

    async def handle(_: Exchange, write: Write) -> None:
        await write(head.encode() + raw)

    return handle


def stream(*lines: str, status: int = 200, whole: bool = True, pace_s: float = 0.0) -> Handler:
    """Return a handler that streams *lines* in chunks, *pace_s* apart; not *whole*, it breaks off at the end."""

    async def handle(_: Exchange, write: Write) -> None:
        await write(f"HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for line in lines:
            data = f"{line}\n".encode()
            await write(f"{len(data):X}\r\n".encode() + data + b"\r\n")
            await asyncio.sleep(pace_s)
        if whole:
            await write(b"0\r\n\r\n")

    return handle


async def hang(_: Exchange, write: Write) -> None:
    """Take the request and never answer."""
    never = asyncio.Event()
    _NEVER.append(never)
    await never.wait()


async def trickle(_: Exchange, write: Write) -> None:
    """Send a byte now and then, for ever."""
    await write(b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n[")
    while True:
        await asyncio.sleep(0.01)
        await write(b" ")


async def flood(_: Exchange, write: Write) -> None:
    """Send 100 MB of valid JSON."""
    await write(b"HTTP/1.1 200 X\r\nContent-Length: 104857602\r\n\r\n[")
    for _i in range(100):
        await write(b" " * 1024 * 1024)
    await write(b"]")


class Replay:
    """Plays back: what stands under (method, path, model), else under (method, path). Keeps every request."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, ...], Handler] = {}
        self.otherwise: Handler = reply(404, {"error": "not found"})
        self.requests: list[Exchange] = []
        self.url = ""

    def recorded(self, folder: str) -> "Replay":
        """Play back every recording in *folder* (of the fixtures)."""
        for file in sorted((FIXTURES / folder).glob("*.json")):
            told = json.loads(file.read_text())
            request = told.get("request")
            if request is None:
                continue
            model = (request["body"] or {}).get("model") if isinstance(request["body"], dict) else None
            key = (request["method"], request["path"], *([model] if model else []))
            self.routes[key] = _played(told)
            if request["path"].startswith("/api/") and model and ":" not in model:
                self.routes[*key[:2], f"{model}:latest"] = self.routes[key]  # to Ollama they are one
        return self

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""

        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        try:
            while (exchange := await _read(reader)) is not None:
                self.requests.append(exchange)
                await self._handler(exchange)(exchange, write)
                break  # a connection for each request keeps every misbehaviour to its own
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _handler(self, exchange: Exchange) -> Handler:
        path = exchange.path.partition("?")[0]
        keys = [(exchange.method, path, exchange.model or ""), (exchange.method, path)]
        return next((self.routes[key] for key in keys if key in self.routes), self.otherwise)


async def _read(reader: asyncio.StreamReader) -> Exchange | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        method, path, _ = first.split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
    except asyncio.IncompleteReadError:
        return None  # who asked has gone
    return Exchange(method=method, path=path, headers=headers, body=json.loads(raw) if raw else None)


def _played(told: Mapping[str, Any]) -> Handler:
    if "lines" in told:
        return stream(*(entry["line"] for entry in told["lines"]), status=told["status"])
    kept = {
        name.replace("-", "_"): value
        for name, value in told["headers"].items()
        if name.lower() in ("server", "content-type", "retry-after")
    }
    body = told["json"] if "json" in told else told.get("text", "")
    return reply(told["status"], body, **kept)


def recorded_stream(path: str) -> Handler:
    """Return a handler that plays back a recorded stream: a JSON file's lines, or text of time, tab, line."""
    file = FIXTURES / path
    if file.suffix == ".json":
        return stream(*(line for _, line in json.loads(file.read_text())["lines"]))
    return stream(*(line.partition("\t")[2] for line in file.read_text().splitlines()))


@asynccontextmanager
async def replaying(port: int = 0, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Replay]:
    """Run a server on *port* of loopback, by default a free one."""
    replay = Replay()
    server = await asyncio.start_server(replay.serve, "127.0.0.1", port, limit=1 << 20, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    replay.url = f"http{'s' if tls else ''}://127.0.0.1:{port}"
    try:
        yield replay
    finally:
        server.close()
        await asyncio.sleep(0)
