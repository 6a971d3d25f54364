"""A tee between a client and a server: passes bytes on and notes when each piece passed.

`python -m benchmarks.tee UPSTREAM_PORT PORT FILE` writes a line for each piece: seconds of the system's monotonic
clock, connection, direction, and the bytes. It parses nothing, so it cannot share a mistake with who does.
"""

import asyncio
import base64
import itertools
import json
import re
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import uvloop
from msgspec import Struct

_PIECE_BYTES = 65536
_PROMPT_TOKENS = re.compile(rb'"prompt_tokens":\s*(\d+)')


class Seen(Struct, frozen=True, kw_only=True):
    """One call of a model as the raw socket saw it; times in seconds of the monotonic clock."""

    sent_at: float  # the last byte of the request
    deltas: tuple[float, ...]  # each piece of content; none of an embedding
    ended_at: float  # the last byte of the reply
    tokens: int | None  # written, or read by an embedding model
    head: bytes  # of the request


async def main(upstream: int, port: int, file: Path) -> None:
    numbers = itertools.count()
    with file.open("w") as notes:

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            number = next(numbers)
            there, back = await asyncio.open_connection("127.0.0.1", upstream)
            await asyncio.gather(
                _pass(reader, back, notes, number, "up"), _pass(there, writer, notes, number, "down")
            )

        server = await asyncio.start_server(connected, "127.0.0.1", port)
        async with server:
            await server.serve_forever()


async def _pass(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, notes: TextIO, number: int, direction: str
) -> None:
    try:
        while piece := await reader.read(_PIECE_BYTES):
            at = time.perf_counter()
            writer.write(piece)
            note = {"at": at, "on": number, "to": direction, "data": base64.b64encode(piece).decode()}
            notes.write(json.dumps(note) + "\n")
            notes.flush()
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


def exchanges(file: Path) -> list[Seen]:
    """Return the calls of models noted in *file*, in order: replies that streamed content, and embeddings."""
    notes = [json.loads(line) for line in file.read_text().splitlines()]
    found: list[tuple[float, Seen]] = []
    for number in sorted({note["on"] for note in notes}):
        mine = [note for note in notes if note["on"] == number]
        for to, group in itertools.groupby(mine, key=lambda note: note["to"]):
            pieces = list(group)
            if to == "up":
                sent_at, asked = pieces[-1]["at"], base64.b64decode(pieces[0]["data"])
                continue
            seen = _call(sent_at, asked, pieces) if asked.startswith(b"POST") else None
            if seen is not None:
                found.append((sent_at, seen))
    return [seen for _, seen in sorted(found, key=lambda pair: pair[0])]


def _call(sent_at: float, asked: bytes, pieces: list[dict[str, Any]]) -> Seen | None:
    """Read a reply off its pieces; a line of a stream counts when its last byte passed."""
    deltas, tokens, kept = [], None, b""
    for piece in pieces:
        *lines, kept = (kept + base64.b64decode(piece["data"])).split(b"\n")
        for line in lines:
            body = line.strip().removeprefix(b"data: ")
            if not body.startswith(b"{"):
                continue
            item = json.loads(body)
            if _content(item):
                deltas.append(piece["at"])
            tokens = _tokens(item) or tokens
    head = asked.partition(b"\r\n\r\n")[0]
    embeds = b"/embeddings " in head
    if embeds:
        whole = b"".join(base64.b64decode(piece["data"]) for piece in pieces)
        found = _PROMPT_TOKENS.search(whole)
        tokens = int(found[1]) if found else None
    if not deltas and not embeds:
        return None
    return Seen(sent_at=sent_at, deltas=tuple(deltas), ended_at=pieces[-1]["at"], tokens=tokens, head=head)


def _content(item: dict[str, Any]) -> str | None:
    if "message" in item:
        return item["message"].get("content") or item["message"].get("thinking")
    delta = (item.get("choices") or [{}])[0].get("delta") or {}
    said: str | None = delta.get("content") or delta.get("reasoning_content") or delta.get("reasoning")
    return said


def _tokens(item: dict[str, Any]) -> int | None:
    return item.get("eval_count") or (item.get("usage") or {}).get("completion_tokens")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
