"""A crowd of Ollama servers in one process: `python -m benchmarks.crowd ENDPOINTS MODELS LATENCY_MS AT_ONCE`.

Each listens on a port of its own, lists MODELS models, answers LATENCY_MS after the request, and takes AT_ONCE
requests at a time: one more is counted as a violation and answered 503. Bodies are recorded ones of Ollama 0.32.15.
The first line of output names the ports; the first of them tells the counts.
"""

import asyncio
import contextlib
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import uvloop

_RECORDED = Path(__file__).parents[1] / "providers/fixtures/ollama/0.32.15"


def recorded(name: str) -> dict[str, object]:
    """Return the body that a real server once replied."""
    told: dict[str, object] = json.loads((_RECORDED / f"{name}.json").read_text())["json"]
    return told


def _reply(status: str, body: object) -> bytes:
    encoded = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(encoded)}\r\n\r\n"
    return head.encode() + encoded


def listing(models: int) -> list[dict[str, object]]:
    """Return *models* entries as /api/tags has them."""
    details = {"format": "gguf", "family": "llama", "parameter_size": "134.52M", "quantization_level": "Q4_1"}
    return [
        {"name": f"model-{n}:1b", "digest": f"{n:064x}", "size": 98_362_809, "details": details}
        for n in range(models)
    ]


class OllamaServer:
    """One endpoint, and the most requests that were on it at once since somebody last asked."""

    def __init__(self, *, models: int, latency_s: float, at_once: int, counts: Counter[str]) -> None:
        self._latency_s = latency_s
        self._at_once = at_once
        self._counts = counts
        self._active = 0
        self.most = 0
        self._replies = {
            "GET /api/version": _reply("200 OK", recorded("version")),
            "GET /api/tags": _reply("200 OK", {"models": listing(models)}),
            "GET /api/ps": _reply("200 OK", {"models": []}),
            "POST /api/show": _reply("200 OK", recorded("show_smollm2_135m")),
        }
        self._busy = _reply("503 Service Unavailable", {"error": "server busy, please try again"})
        self._missing = _reply("404 Not Found", {"error": "not found"})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, for as long as it lasts."""
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    reply = await self._answer(await _request(reader))
                    writer.write(reply)
                    await writer.drain()
        finally:
            writer.close()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Listen on a free port of loopback; yield the URL. On the way out every connection is closed."""
        connections: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self.serve(reader, writer))
            connections.add(task)
            task.add_done_callback(connections.discard)

        async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
            try:
                yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            finally:
                for connection in connections:
                    connection.cancel()
                await asyncio.gather(*connections, return_exceptions=True)
                await asyncio.sleep(0)  # closed transports say so in the next turn

    async def _answer(self, asked: str) -> bytes:
        self._counts[asked] += 1
        if self._active >= self._at_once:
            self._counts["violations"] += 1
            return self._busy
        self._active += 1
        self.most = max(self.most, self._active)
        try:
            await asyncio.sleep(self._latency_s)
        finally:
            self._active -= 1
        return self._replies.get(asked, self._missing)


async def _request(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    for line in head.lower().split("\r\n"):
        if line.startswith("content-length:"):
            await reader.readexactly(int(line.partition(":")[2]))
    return " ".join(head.split(" ", 2)[:2])


async def main(endpoints: int, models: int, latency_ms: float, at_once: int) -> None:
    counts: Counter[str] = Counter()
    servers = [
        OllamaServer(models=models, latency_s=latency_ms / 1000, at_once=at_once, counts=counts)
        for _ in range(endpoints)
    ]

    async def tell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(_reply("200 OK", {**counts, "most": max(server.most for server in servers)}))
        for server in servers:
            server.most = 0
        await writer.drain()
        writer.close()

    listening = [
        await asyncio.start_server(handle, "127.0.0.1", 0)
        for handle in (tell, *(server.serve for server in servers))
    ]
    print(json.dumps([one.sockets[0].getsockname()[1] for one in listening]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))
