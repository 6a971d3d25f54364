"""A scripted model server that stamps each piece with the time: `python -m benchmarks.paced PORT FIRST_MS PACE_MS`.

It streams as many pieces as `max_tokens` says, each the monotonic nanoseconds at which it was sent, and costs as little
as a server can. It lists one model, `paced`.
"""

import asyncio
import json
import sys
import time

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _event(delta: bytes, reason: bytes = b"null") -> bytes:
    data = (
        b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"paced","choices":[{"index":0,"delta":'
        + delta
        + b',"finish_reason":'
        + reason
        + b"}]}\n\n"
    )
    return b"%x\r\n%s\r\n" % (len(data), data)


class Server:
    """Streams *pace_s* apart, the first piece *first_s* after the request."""

    def __init__(self, first_s: float, pace_s: float) -> None:
        self._first_s = first_s
        self._pace_s = pace_s

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = next(
                    (
                        int(line.partition(":")[2])
                        for line in head.split("\r\n")
                        if line.startswith("content-length")
                    ),
                    0,
                )
                body = json.loads(await reader.readexactly(length) or b"{}")
                await self._answer(head, body, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()  # Python 3.11 prints a handler that was cancelled as a failure

    async def _answer(self, head: str, body: dict[str, object], writer: asyncio.StreamWriter) -> None:
        if head.startswith("get"):
            self._whole(
                writer, {"object": "list", "data": [{"id": "paced", "object": "model", "owned_by": "me"}]}
            )
        elif not body.get("stream"):
            message = {"role": "assistant", "content": "ok"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
            told = {"id": "c", "object": "chat.completion", "created": 1, "model": "paced"}
            self._whole(writer, told | {"choices": [choice], "usage": usage})
        else:
            await self._stream(int(str(body.get("max_tokens") or 16)), writer)

    def _whole(self, writer: asyncio.StreamWriter, value: object) -> None:
        raw = json.dumps(value).encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(raw)
            + raw
        )

    async def _stream(self, pieces: int, writer: asyncio.StreamWriter) -> None:
        due = time.monotonic() + self._first_s
        writer.write(_HEAD)
        for _ in range(pieces):
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            writer.write(_event(b'{"role":"assistant","content":"%d "}' % time.monotonic_ns()))
            await writer.drain()
            due += self._pace_s
        done = b"data: [DONE]\n\n"
        writer.write(_event(b"{}", b'"stop"') + b"%x\r\n%s\r\n0\r\n\r\n" % (len(done), done))
        await writer.drain()


async def main(port: int, first_ms: float, pace_ms: float) -> None:
    """Serve until killed."""
    made = Server(first_ms / 1000, pace_ms / 1000)
    server = await asyncio.start_server(made.serve, "127.0.0.1", port, backlog=1024)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
