"""Streamed replies: lines and server-sent events with their arrival times, and tool calls that come in pieces."""

import codecs
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from typing import Any, Final

import msgspec

from vedette.errors import ProviderError
from vedette.providers import ToolCall
from vedette.providers._lenient import count, decoded, mapping, text
from vedette.types import Outcome

MAX_LINE_BYTES: Final = 1024 * 1024
MAX_EVENT_BYTES: Final = 1024 * 1024
MAX_CALLS: Final = 256
DONE: Final = b"[DONE]"
_MAX_WORDS: Final = 200  # characters of an event that is not JSON, quoted in the error


async def lines(chunks: AsyncIterable[tuple[float, bytes]]) -> AsyncIterator[tuple[float, bytes]]:
    """Yield (monotonic seconds, line) as soon as a line is complete; empty lines are left out.

    A line ends with LF, CR LF or CR. Raises ProviderError (TOO_LARGE) for a line of more than 1 MiB.
    """
    async for at, line in _raw_lines(chunks):
        if stripped := line.strip():
            yield at, stripped


async def _raw_lines(chunks: AsyncIterable[tuple[float, bytes]]) -> AsyncIterator[tuple[float, bytes]]:
    kept, at, after_cr = bytearray(), 0.0, False
    async for at, chunk in chunks:
        if after_cr and chunk.startswith(b"\n"):  # CR LF, cut in two by the network
            chunk = chunk[1:]
        after_cr = chunk.endswith(b"\r")
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r")) + 1
        kept += chunk[:end] if end else chunk
        if end:
            whole, kept = bytes(kept), bytearray(chunk[end:])
            # bytes.splitlines splits at CR and LF only, unlike str.splitlines.
            for line in whole.splitlines():
                yield at, line
        if len(kept) > MAX_LINE_BYTES:
            raise ProviderError(Outcome.TOO_LARGE, f"a line is longer than {MAX_LINE_BYTES} bytes")
    if kept:
        yield at, bytes(kept)


async def server_sent(
    chunks: AsyncIterable[tuple[float, bytes]],
) -> AsyncIterator[tuple[float, bytes]]:
    """Yield (monotonic seconds, data) of each server-sent event [WHATWG HTML, §9.2.6].

    Data that is complete in its first line is yielded at once, for servers that leave out the empty line after an
    event. An event of the type `error` becomes an object `{"error": data}`. A body that is not an event stream
    (a JSON object or an HTML page) is yielded whole. Raises ProviderError (TOO_LARGE) for a line or an event of more
    than 1 MiB.
    """
    event, body = _Event(), bytearray()
    begun, is_body, at = False, False, 0.0
    async for at, line in _raw_lines(chunks):
        if not begun:
            line = line.removeprefix(codecs.BOM_UTF8)
        start = line.lstrip()[:1]
        is_body = is_body or (start == b"{" and not _is_whole(line)) or (not begun and start in (b"[", b"<"))
        begun = begun or bool(start)
        if is_body:
            body += line + b"\n"
        elif start == b"{":
            yield at, line.strip()  # some servers send an error in mid-stream without `data:`
        elif (data := event.take(line)) is not None:
            yield at, data
    if data := bytes(body).strip() or event.end():
        yield at, data


class _Event:
    """The event that is being read."""

    def __init__(self) -> None:
        self._type = b""
        self._data: list[bytes] = []
        self._size = 0

    def take(self, line: bytes) -> bytes | None:
        """Add a line; return the data of the event if it is complete now, else None.

        Raises ProviderError (TOO_LARGE) for an event of more than 1 MiB.
        """
        if not line:
            return self.end()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        while field == b"data" and value.startswith(b"data:"):  # a proxy wrapped the event again
            value = value.removeprefix(b"data:").removeprefix(b" ")
        if field == b"error":  # a field of llama.cpp's until September 2025
            return _as_error(value) if value else None
        if field == b"event":
            self._type = value.strip()
        elif field == b"data":
            if not self._data and _is_whole(value):
                self._data = [value]
                return self.end(keep_type=True)
            self._data.append(value)
            self._size += len(value)
            if self._size > MAX_EVENT_BYTES:
                raise ProviderError(Outcome.TOO_LARGE, f"an event is larger than {MAX_EVENT_BYTES} bytes")
        return None

    def end(self, *, keep_type: bool = False) -> bytes | None:
        """End the event; return its data, or None if it has none."""
        data, kind = b"\n".join(self._data).strip(), self._type
        self._data, self._size = [], 0
        if not keep_type:
            self._type = b""
        if _is_done(data):
            return DONE
        if not data or kind != b"error":
            return data or None
        return _as_error(data)


def _is_done(data: bytes) -> bool:
    """Return whether *data* is `[DONE]`, which ends a stream. Some servers write it in lower case or as JSON."""
    return data.strip().strip(b'"').upper() == DONE


def _is_whole(line: bytes) -> bool:
    if _is_done(line):
        return True
    if not line.rstrip().endswith((b"}", b"]")):
        return False
    try:
        decoded(line)
    except ProviderError:
        return False
    return True


def _as_error(data: bytes) -> bytes:
    try:
        error = decoded(data)
    except ProviderError:
        error = data.decode(errors="replace")
    if mapping(error).get("error"):
        return data
    return msgspec.json.encode({"error": error})


class Events:
    """The events of a stream whose data are JSON objects; `skipped` counts those that are not."""

    def __init__(self, chunks: AsyncIterable[tuple[float, bytes]]) -> None:
        self.skipped = 0
        self.done = False  # `[DONE]` has come
        self._chunks = chunks

    async def __aiter__(self) -> AsyncIterator[tuple[float, Mapping[str, Any]]]:
        """Yield (monotonic seconds, object) up to `[DONE]`.

        Raises ProviderError (GARBAGE) if no event could be read, with the reason of the last one.
        """
        problem, read = None, 0
        async for at, data in server_sent(self._chunks):
            if data == DONE:
                self.done = True
                break
            try:
                found = decoded(data)
            except ProviderError as error:
                problem, self.skipped = _in_its_words(error, data), self.skipped + 1
                continue
            objects = [
                one for one in (found if isinstance(found, list) else [found]) if isinstance(one, dict)
            ]
            self.skipped += not objects
            read += len(objects)
            for one in objects:
                yield at, one
        if problem is not None and not read:
            raise problem


def _in_its_words(problem: ProviderError, data: bytes) -> ProviderError:
    """Return *problem* with the text of the event added, if it is plain text. Usually it is an error message."""
    if data.startswith((b"<", b"{", b"[")):
        return problem
    said = text(data.decode(errors="replace"), _MAX_WORDS)
    return ProviderError(problem.outcome, f"{problem.detail}; it says: {said}") if said else problem


def arguments(written: str) -> Mapping[str, Any] | None:
    """Return the arguments of a tool call from the JSON text *written*; None if it is not an object.

    Gateways to Anthropic's API write an empty object before the arguments. Some gateways encode the JSON twice.
    """
    begun = written.strip()
    if begun.startswith("{}") and begun != "{}":
        begun = begun.removeprefix("{}")
    try:
        read = decoded(begun.encode(errors="replace") or b"{}")
        read = decoded(read.encode(errors="replace")) if isinstance(read, str) else read
    except ProviderError:
        return None
    return read if isinstance(read, dict) else None


class Called:
    """A tool call whose arguments come in pieces. The pieces, up to 100,000, are joined only once."""

    def __init__(self, name: str = "", identity: str | None = None) -> None:
        self.name = name
        self.identity = identity
        self._pieces: list[str] = []
        self._whole: Mapping[str, Any] | None = None

    def take(self, piece: object) -> None:
        """Add a piece of the arguments: a text, or the whole object."""
        if isinstance(piece, str) and piece and not (self.has_whole_piece and piece == self._pieces[0]):
            self._pieces.append(piece)
        elif isinstance(piece, dict):
            self._whole = piece

    @property
    def has_arguments(self) -> bool:
        """Whether a piece of the arguments has come. Then the name, which some servers send in pieces, is complete."""
        return self._whole is not None or bool(self._pieces)

    @property
    def has_whole_piece(self) -> bool:
        """Whether the arguments came complete, in one piece."""
        return len(self._pieces) == 1 and self._pieces[0].endswith("}") and bool(arguments(self._pieces[0]))

    def has_other_whole_than(self, piece: str) -> bool:
        """Return whether the arguments came complete and differ from *piece*. Some servers repeat a call at its end."""
        return self.has_whole_piece and piece != self._pieces[0]

    def take_name(self, piece: str | None) -> None:
        """Add a piece of the name. Some servers repeat the name with every piece."""
        if piece and piece != self.name and not self.has_arguments:
            self.name += piece

    def arguments(self) -> Mapping[str, Any] | None:
        """Return the arguments, or None if the pieces make no JSON object."""
        return arguments("".join(self._pieces)) if self._whole is None else self._whole


class Calls:
    """The tool calls of an answer in OpenAI's form. A piece names its call by id, by index, or not at all."""

    def __init__(self) -> None:
        self._all: list[Called] = []
        self._by_identity: dict[str, Called] = {}
        self._by_index: dict[int, Called] = {}

    def take(self, piece: Mapping[str, Any]) -> None:
        """Add a piece of a known call or of a new one. Raises ProviderError (TOO_LARGE) for more than 256 calls."""
        function = mapping(piece.get("function"))
        identity, index = text(piece.get("id"), 256), count(piece.get("index"))
        name = text(function.get("name"), 256)
        call = self._known(identity, index, name, function.get("arguments"))
        if call is None:
            if len(self._all) == MAX_CALLS:
                raise ProviderError(Outcome.TOO_LARGE, f"a reply calls more than {MAX_CALLS} tools")
            call = Called(identity=identity)
            self._all.append(call)
        call.take_name(name)
        if identity:
            self._by_identity[identity] = call
        if index is not None:
            self._by_index[index] = call
        call.take(function.get("arguments"))

    def _known(
        self, identity: str | None, index: int | None, name: str | None, piece: object
    ) -> Called | None:
        """Return the call that a piece continues, or None if the piece begins a new call.

        A new call begins with a new id and a name, with a second name, or with a name and other arguments after a
        complete call. The last rule is for Google's OpenAI endpoint, where each call has the index 0 and no id.
        """
        if identity in self._by_identity:
            return self._by_identity[identity]
        begun = self._by_index.get(index) if index is not None else next(reversed(self._all), None)
        if begun is None:
            return None
        if identity and name and begun.identity not in (None, identity):
            return None
        is_another = name and begun.name and (index is None or (name != begun.name and begun.has_arguments))
        is_next = (
            name and isinstance(piece, str) and piece.startswith("{") and begun.has_other_whole_than(piece)
        )
        return None if is_another or is_next else begun

    def made(self) -> tuple[ToolCall, ...]:
        """Return the calls that have a name, in the order in which they began."""
        return called(self._all)


def called(calls: Iterable[Called]) -> tuple[ToolCall, ...]:
    """Return the *calls* that have a name; the others are dropped."""
    return tuple(ToolCall(name=call.name, arguments=call.arguments()) for call in calls if call.name)
