"""Lines of a streamed reply, each with the moment it arrived, and what is put together from their pieces."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from typing import Any

import msgspec

from vedette.errors import ProviderError
from vedette.providers import ToolCall
from vedette.types import Outcome

_MOST_LINE_BYTES = 1024 * 1024


async def lines(chunks: AsyncIterable[tuple[float, bytes]]) -> AsyncIterator[tuple[float, bytes]]:
    """Yield (monotonic seconds, line) as soon as a line is whole; empty lines are left out.

    Raises ProviderError for a line beyond a megabyte.
    """
    kept, at = bytearray(), 0.0
    async for at, chunk in chunks:
        kept += chunk
        if b"\n" in chunk:
            whole, _, rest = bytes(kept).rpartition(b"\n")
            kept = bytearray(rest)
            for line in whole.split(b"\n"):
                if stripped := line.strip():
                    yield at, stripped
        if len(kept) > _MOST_LINE_BYTES:
            raise ProviderError(Outcome.TOO_LARGE, f"a line is longer than {_MOST_LINE_BYTES} bytes")
    if last := bytes(kept).strip():
        yield at, last


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
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


class Called:
    """A tool call whose arguments come in pieces. They are put together once: there can be 100,000 of them."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._pieces: list[str] = []

    def take(self, piece: object) -> None:
        """Take in a piece of the arguments, if it is text."""
        if isinstance(piece, str):
            self._pieces.append(piece)

    def arguments(self) -> Mapping[str, Any] | None:
        """Return the arguments, or None if the pieces make no JSON object."""
        return arguments("".join(self._pieces))


def called(calls: Iterable[Called]) -> tuple[ToolCall, ...]:
    """Return those of *calls* that have a name."""
    return tuple(ToolCall(name=call.name, arguments=call.arguments()) for call in calls if call.name)
