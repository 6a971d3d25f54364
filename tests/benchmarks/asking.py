"""A client in a process of its own: `python -m benchmarks.asking URL NAME`; it does what it is told on bench.ask.NAME.

It asks with nats-py, as agents do, which is slower than what answers and so times the whole of a call; or `bare`, with
just as much of the NATS protocol as asking takes (docs.nats.io, "Client Protocol"), several times as fast as one
process answers, which times the answering alone.
"""

import asyncio
import math
import sys
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import msgspec
import nats
import uvloop
from msgspec import Struct
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from benchmarks import questions

_DRAIN_S = 20.0
_MAX_OUTSTANDING = 4000  # of a paced client: what it cannot ask in time it counts as missed
_INBOX = b"_INBOX.bench."
_NOBODY = b"NATS/1.0 503"  # nobody listens on the subject


class Order(Struct, frozen=True, kw_only=True):
    """What to ask, how: so many in flight all the time, or paced at so many per second whatever the answers do."""

    subject: str
    kind: Literal["same", "different", "unlike"]
    seconds: float
    models: int
    seed: int
    by: Literal["nats-py", "bare"] = "bare"
    in_flight: int = 0
    per_s: float = 0.0


class Told(Struct, frozen=True, kw_only=True):
    """What came of it. Times are of every request, from when it was sent, or should have been."""

    took_us: list[int]
    seconds: float  # until the last answer
    refused: int = 0  # answers that are errors
    empty: int = 0  # answers that recommend nothing
    missed: int = 0  # never sent, or never answered

    @property
    def per_s(self) -> float:
        """Answers per second."""
        return len(self.took_us) / self.seconds


class Wire(asyncio.Protocol):
    """A connection that asks, and calls `on_reply` with the number of a question and its answer."""

    def __init__(self, url: str, name: str) -> None:
        parts = urlsplit(url)
        self._greeting = {
            "user": parts.username,
            "pass": parts.password,
            "verbose": False,
            "headers": True,
            "no_responders": True,
            "lang": "bench",
            "version": "1",
        }
        self._inbox = _INBOX + name.encode() + b"."
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None
        self.up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.on_reply: Callable[[int, bytes, bool], None] = lambda *_: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        greeting = msgspec.json.encode(self._greeting)
        self._transport.write(b"CONNECT %s\r\nSUB %s* 1\r\nPING\r\n" % (greeting, self._inbox))

    def ask(self, subject: bytes, number: int, payload: bytes) -> None:
        """Send one question."""
        assert self._transport is not None
        self._transport.write(
            b"PUB %s %s%d %d\r\n%s\r\n" % (subject, self._inbox, number, len(payload), payload)
        )

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        at = 0
        while (end := buffer.find(b"\r\n", at)) >= 0:
            line = buffer[at:end]
            if line.startswith((b"MSG ", b"HMSG ")):
                fields = line.split(b" ")
                body = end + 2
                after = body + int(fields[-1]) + 2
                if len(buffer) < after:
                    break
                self.on_reply(int(fields[1][len(self._inbox) :]), buffer[body : after - 2], line[:1] == b"H")
                at = after
                continue
            at = end + 2
            if line == b"PING" and self._transport is not None:
                self._transport.write(b"PONG\r\n")
            elif line == b"PONG" and not self.up.done():
                self.up.set_result(None)
            elif line.startswith(b"-ERR"):
                raise RuntimeError(line.decode())
        self._buffer = buffer[at:]


class Asker:
    """Carries out orders, one at a time."""

    def __init__(self, wire: Wire, connection: NatsClient) -> None:
        self._wire = wire
        self._connection = connection
        self._wire.on_reply = self._on_reply
        self._payloads: dict[tuple[str, int, int], Iterator[bytes]] = {}
        self._number = 0
        self._sent: dict[int, float] = {}
        self._took_us: list[int] = []
        self._refused = self._empty = 0
        self._last = 0.0
        self._again: Callable[[], None] | None = None

    async def do(self, order: Order) -> Told:
        """Return what came of *order*, when every question is answered or given up."""
        self._sent, self._took_us, self._refused, self._empty = {}, [], 0, 0
        payloads = self._questions(order)
        subject = order.subject.encode()
        began = time.perf_counter()
        until = began + order.seconds

        def send(at: float) -> None:
            self._number += 1
            self._sent[self._number] = at
            self._wire.ask(subject, self._number, next(payloads))

        missed = 0
        if order.per_s:
            missed = await self._paced(order, send, began)
        elif order.by == "nats-py":
            loops = (self._one_by_one(order.subject, payloads, until) for _ in range(order.in_flight))
            await asyncio.gather(*loops)
        else:

            def again() -> None:
                if (now := time.perf_counter()) < until:
                    send(now)

            self._again = again
            for _ in range(order.in_flight):
                again()
            await asyncio.sleep(order.seconds)
        self._again = None
        await self._drained()
        missed += len(self._sent)
        return Told(
            took_us=self._took_us,
            seconds=(self._last or time.perf_counter()) - began,
            refused=self._refused,
            empty=self._empty,
            missed=missed,
        )

    async def _one_by_one(self, subject: str, payloads: Iterator[bytes], until: float) -> None:
        while (sent := time.perf_counter()) < until:
            reply = await self._connection.request(subject, next(payloads), timeout=_DRAIN_S)
            self._note(sent, reply.data, b"Nats-Service-Error" if reply.headers else b"")

    def _note(self, sent: float, payload: bytes, headers: bytes) -> None:
        self._last = time.perf_counter()
        self._took_us.append(int((self._last - sent) * 1e6))
        if b"Nats-Service-Error" in headers:
            self._refused += 1
        elif b'"recommendation":null' in payload:
            self._empty += 1

    def _questions(self, order: Order) -> Iterator[bytes]:
        if order.kind == "same":
            return repeat(questions.SAME)
        key = (order.kind, order.seed, order.models)
        if key not in self._payloads:
            mix = questions.different if order.kind == "different" else questions.unlike
            self._payloads[key] = mix(seed=order.seed, models=order.models)
        return self._payloads[key]

    async def _paced(self, order: Order, send: Callable[[float], None], began: float) -> int:
        """Send at the times of an even pace, late ones at once; return how many could not be sent."""
        missed = 0
        for number in range(math.ceil(order.seconds * order.per_s)):
            due = began + number / order.per_s
            if (ahead := due - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            if len(self._sent) >= _MAX_OUTSTANDING:
                missed += 1
            else:
                send(due)
        return missed

    async def _drained(self) -> None:
        give_up = time.perf_counter() + _DRAIN_S
        while self._sent and time.perf_counter() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(0.002)

    def _on_reply(self, number: int, payload: bytes, headed: bool) -> None:
        sent = self._sent.pop(number, None)
        if sent is None:
            return  # of an order that was given up
        nobody = headed and payload.startswith(_NOBODY)
        self._note(sent, payload, b"Nats-Service-Error" if nobody else payload if headed else b"")
        if self._again is not None:
            self._again()


class Client(Struct, frozen=True):
    """A client process as who gives it orders sees it."""

    name: str
    pid: int

    async def do(self, connection: NatsClient, order: Order) -> Told:
        """Have *order* carried out."""
        timeout_s = order.seconds + _DRAIN_S + 30
        reply = await connection.request(
            f"bench.ask.{self.name}", msgspec.json.encode(order), timeout=timeout_s
        )
        return msgspec.msgpack.decode(reply.data, type=Told)


async def main(url: str, name: str) -> None:
    parts = urlsplit(url)
    _, wire = await asyncio.get_running_loop().create_connection(
        lambda: Wire(url, name), parts.hostname or "127.0.0.1", parts.port or 4222
    )
    await wire.up
    connection = await nats.connect(url, pending_size=64 * 2**20)
    asker = Asker(wire, connection)

    async def on_order(message: Msg) -> None:
        told = await asker.do(msgspec.json.decode(message.data, type=Order))
        await message.respond(msgspec.msgpack.encode(told))

    options: dict[str, Any] = {"cb": on_order}
    await connection.subscribe(f"bench.ask.{name}", **options)
    await connection.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], sys.argv[2]))
