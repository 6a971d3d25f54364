"""A client of its own: HTTP over a bare socket, read and timed by code that shares none with Vedette's.

It blocks, opens a connection for each call (before its clock starts), asks for what the benchmarker asks for, and
stamps every piece that the socket hands over. `fidelity` compares its figures with Vedette's.
"""

import json
import socket
import time
from typing import Any

from msgspec import Struct

MARK = b"User-Agent: another-client"
_PIECE_BYTES = 65536
_DEADLINE_S = 600.0


class Timed(Struct, frozen=True, kw_only=True):
    """A call and what came of it; times in seconds of `time.perf_counter`."""

    started_at: float  # before the request, on an open connection
    contents: tuple[float, ...]  # when each piece of content was complete
    ended_at: float  # the last byte of the body
    tokens: int | None  # by the server: written, or read where it embeds

    @property
    def ttft_ms(self) -> float:
        """Time to the first content."""
        return (self.contents[0] - self.started_at) * 1000

    @property
    def output_tps(self) -> float:
        """Tokens after the first, over the time from the first content to the last."""
        return ((self.tokens or len(self.contents)) - 1) / (self.contents[-1] - self.contents[0])

    @property
    def took_ms(self) -> float:
        """Time to the last byte."""
        return (self.ended_at - self.started_at) * 1000

    @property
    def read_tps(self) -> float:
        """Tokens embedded over the whole call."""
        return (self.tokens or 0) / (self.ended_at - self.started_at)


def call(port: int, path: str, body: dict[str, Any]) -> Timed:
    """POST *body* to loopback and read the reply to its end. Raises ConnectionError unless its status is 200."""
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{MARK.decode()}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=_DEADLINE_S) as there:
        there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        started_at = time.perf_counter()
        there.sendall(head.encode() + data)
        pieces = []
        while piece := there.recv(_PIECE_BYTES):
            pieces.append((time.perf_counter(), piece))
            if _is_last(piece):
                break
    return _read(started_at, pieces)


def _is_last(piece: bytes) -> bool:
    """Return whether a chunked body ends here: some servers leave the connection open."""
    return piece.endswith(b"0\r\n\r\n")


def _read(started_at: float, pieces: list[tuple[float, bytes]]) -> Timed:
    whole = b"".join(piece for _, piece in pieces)
    if b" 200 " not in whole[:20]:
        raise ConnectionError(whole[:500].decode("latin-1"))
    contents, tokens, kept = [], None, b""
    for at, piece in pieces:
        *lines, kept = (kept + piece).split(b"\n")
        for line in lines:
            item = _item(line)
            contents += [at] if _content(item) else []
            tokens = _tokens(item) or tokens
    return Timed(
        started_at=started_at,
        contents=tuple(contents),
        ended_at=pieces[-1][0],
        tokens=tokens or _tokens(_item(kept)),
    )


def _item(line: bytes) -> dict[str, Any]:
    """Return the JSON object of a line: an event's, a line's of Ollama, or a whole body."""
    found = line.strip().removeprefix(b"data:").strip()
    if not found.startswith(b"{"):
        return {}
    try:
        item: dict[str, Any] = json.loads(found)
    except ValueError:
        return {}
    return item


def _content(item: dict[str, Any]) -> str | None:
    told = item.get("message") or ((item.get("choices") or [{}])[0]).get("delta") or {}
    found: str | None = told.get("content") or told.get("thinking") or told.get("reasoning_content")
    return found


def _tokens(item: dict[str, Any]) -> int | None:
    usage = item.get("usage") or {}
    return item.get("eval_count") or usage.get("completion_tokens") or usage.get("prompt_tokens")
