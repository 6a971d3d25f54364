"""Lines of a streamed reply, each with the moment it arrived, and what is put together from their pieces."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Any

import msgspec

from vedette.errors import ProviderError
from vedette.types import Outcome

_MOST_LINE_BYTES = 1024 * 1024


async def lines(chunks: AsyncIterable[tuple[float, bytes]]) -> AsyncIterator[tuple[float, bytes]]:
    """Yield (monotonic seconds, line) as soon as a line is whole; empty lines are left out.

    Raises ProviderError for a line beyond a megabyte.
    """
    kept, at = b"", 0.0
    async for at, chunk in chunks:
        *whole, kept = (kept + chunk).split(b"\n")
        for line in whole:
            if stripped := line.strip():
                yield at, stripped
        if len(kept) > _MOST_LINE_BYTES:
            raise ProviderError(Outcome.TOO_LARGE, f"a line is longer than {_MOST_LINE_BYTES} bytes")
    if kept.strip():
        yield at, kept.strip()


async def server_sent(
    chunks: AsyncIterable[tuple[float, bytes]],
) -> AsyncIterator[tuple[float, bytes]]:
    """Yield (monotonic seconds, data) of server-sent events; comments and other fields are left out."""
    async for at, line in lines(chunks):
        if line.startswith(b"data:"):
            yield at, line[5:].strip()
        elif line.startswith(b"{"):
            yield at, line  # servers that fail in mid-stream have been seen to send a bare JSON error


def decoded(line: bytes) -> Any:
    """Return the JSON of *line*. Raises ProviderError."""
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderError(Outcome.GARBAGE, f"a line of the stream is not JSON ({error})") from error


def arguments(written: str) -> Mapping[str, Any] | None:
    """Return the arguments of a tool call from the JSON that came in pieces, or None if it is no object."""
    try:
        read = msgspec.json.decode(written or "{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return read if isinstance(read, dict) else None
