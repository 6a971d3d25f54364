"""Streamed replies: lines and server-sent events with the moment each arrived, and what their pieces make up."""

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
_MAX_WORDS: Final = 200  # of an event that is not JSON, quoted in its failure


async def lines(chunks: AsyncIterable[tuple[float, bytes]]) -> AsyncIterator[tuple[float, bytes]]:
    """Yield (monotonic seconds, line) as soon as a line is whole, without empty lines.

    A line ends with LF, CR LF or CR. Raises ProviderError for a line beyond a megabyte.
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
            # Unlike str, bytes are split at CR and LF only.
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

    Data that is whole in its first line is yielded at once, for servers that leave out the empty line after an
    event. An event of the type `error` becomes an object `{"error": data}`. A body that is no event stream
    (a JSON object or an HTML page) is yielded whole. Raises ProviderError for an event beyond a megabyte.
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
            yield at, line.strip()  # some servers that fail in mid-stream send their error without `data:`
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
        """Take a line in; return the data of an event that is whole now. Raises ProviderError for one too large."""
        if not line:
            return self.end()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        while field == b"data" and value.startswith(b"data:"):  # a proxy that wrapped an event once more
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
        """Return the data of the event, or None of one without data."""
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
    """Return whether *data* ends a stream: `[DONE]`, which some servers write in lower case or as JSON."""
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

        Raises ProviderError (GARBAGE) where nothing could be read, with the reason of the last that could not.
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
    """Return *problem* with what an event said that is plain words, an error of a server's mostly."""
    if data.startswith((b"<", b"{", b"[")):
        return problem
    said = text(data.decode(errors="replace"), _MAX_WORDS)
    return ProviderError(problem.outcome, f"{problem.detail}; it says: {said}") if said else problem


def arguments(written: str) -> Mapping[str, Any] | None:
    """Return the arguments of a tool call from the JSON that came in pieces, or None if it is no object.

    Some gateways begin with an empty object before the pieces (those of Anthropic's API), some write the JSON as a
    JSON text once more.
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
    """A tool call whose arguments come in pieces. They are put together once: there can be 100,000 of them."""

    def __init__(self, name: str = "", identity: str | None = None) -> None:
        self.name = name
        self.identity = identity
        self._pieces: list[str] = []
        self._whole: Mapping[str, Any] | None = None

    def take(self, piece: object) -> None:
        """Take in a piece of the arguments: text, or the whole object."""
        if isinstance(piece, str) and piece and not (self.has_whole_piece and piece == self._pieces[0]):
            self._pieces.append(piece)
        elif isinstance(piece, dict):
            self._whole = piece

    @property
    def has_arguments(self) -> bool:
        """Whether a piece of the arguments has come. A name comes before them, some servers cut it in pieces."""
        return self._whole is not None or bool(self._pieces)

    @property
    def has_whole_piece(self) -> bool:
        """Whether the arguments came whole, in one piece."""
        return len(self._pieces) == 1 and self._pieces[0].endswith("}") and bool(arguments(self._pieces[0]))

    def has_other_whole_than(self, piece: str) -> bool:
        """Whether the arguments came whole and are not *piece*: some servers say a call again at its end."""
        return self.has_whole_piece and piece != self._pieces[0]

    def take_name(self, piece: str | None) -> None:
        """Take in the name, which some servers repeat with every piece."""
        if piece and piece != self.name and not self.has_arguments:
            self.name += piece

    def arguments(self) -> Mapping[str, Any] | None:
        """Return the arguments, or None if the pieces make no JSON object."""
        return arguments("".join(self._pieces)) if self._whole is None else self._whole


class Calls:
    """The tool calls of an answer in OpenAI's form, whose pieces name their call by id, by index, or not at all."""

    def __init__(self) -> None:
        self._all: list[Called] = []
        self._by_identity: dict[str, Called] = {}
        self._by_index: dict[int, Called] = {}

    def take(self, piece: Mapping[str, Any]) -> None:
        """Take in a piece: of a call that began before, or of a new one. Raises ProviderError for too many."""
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
        """Return the call that a piece continues. A new id with a name, or a second name, begins a new one.

        So does a name with other arguments where those of the call before came whole: Google's OpenAI endpoint gives
        each call the index 0 and no id.
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
        """Return the calls in the order in which they began."""
        return called(self._all)


def called(calls: Iterable[Called]) -> tuple[ToolCall, ...]:
    """Return the *calls* with a name."""
    return tuple(ToolCall(name=call.name, arguments=call.arguments()) for call in calls if call.name)
