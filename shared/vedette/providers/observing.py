"""Measures a reply while it is passed on: time of its first token, number of tokens, completeness.

The definitions are those of the benchmarker. The reply is neither changed nor delayed.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from vedette.errors import ProviderError
from vedette.providers._completions import Answer
from vedette.providers._lenient import decoded, mapping, sequence, text, tokens
from vedette.providers._refusals import in_stream
from vedette.providers._stream import DONE

Api = Literal["chat/completions", "completions", "embeddings", "responses"]
_TEXTS: Final = ("content", "reasoning", "reasoning_content")  # of a message
_MAX_LINE_BYTES: Final = 1024 * 1024
_MAX_BODY_BYTES: Final = 8 * 1024 * 1024  # of a reply in one piece that is read for its usage


class Account(Struct, frozen=True, kw_only=True):
    """The measurement of one reply. Times are in monotonic seconds. None: the server did not report it."""

    first_at: float | None = None  # the first token of a stream
    last_at: float | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    characters: int = 0  # of the answer; 0 for a reply in one piece with a usage
    whole: bool = False  # the reply is complete
    error: ProviderError | None = None  # reported by the reply itself


class Observed:
    """Measures one reply of *api* by the model *name*. *stream*: it is a stream of events, else JSON in one piece."""

    def __init__(self, api: Api, name: str, *, stream: bool) -> None:
        self._api = api
        self._stream = stream
        self._rest = bytearray()
        self._answer = Answer(asked=name, listed=(), is_of_server=None)
        self._first: float | None = None
        self._last: float | None = None
        self._usage: Mapping[str, Any] = {}
        self._characters = 0
        self._done = False
        self._error: ProviderError | None = None
        self._unread: ProviderError | None = None  # why the last unreadable event could not be read

    def take(self, at: float, chunk: bytes) -> None:
        """Add *chunk*, which arrived at *at* (monotonic seconds)."""
        self._rest += chunk
        if not self._stream:
            if len(self._rest) > _MAX_BODY_BYTES:
                self._rest.clear()
            return
        end = self._rest.rfind(b"\n") + 1
        if end:
            lines, self._rest = bytes(self._rest[:end]), self._rest[end:]
            for line in lines.splitlines():
                if line.startswith(b"data:"):
                    self._event(at, line[5:].strip())
        if len(self._rest) > _MAX_LINE_BYTES:
            self._rest.clear()

    @property
    def failed(self) -> ProviderError | None:
        """The error that the reply has reported so far, if any."""
        return self._error

    @property
    def begun(self) -> bool:
        """Whether an event of the stream has arrived."""
        return self._last is not None or self._done or self._error is not None

    def account(self) -> Account:
        """Return the measurement of the reply. Call it after the last chunk."""
        if not self._stream:
            return self._in_one_piece()
        if self._api == "responses":
            prompt, output = (tokens(self._usage.get(name)) for name in ("input_tokens", "output_tokens"))
        else:
            finished = self._answer.finished(self._last or 0.0, skipped=0)
            prompt, output = finished.prompt_tokens, finished.output_tokens
        return Account(
            first_at=self._first,
            last_at=self._last,
            prompt_tokens=prompt,
            output_tokens=output,
            characters=self._characters,
            whole=(self._done or self._answer.whole) and not self._answer.is_of_another_protocol,
            error=self._error or (self._unread if self._last is None else None),
        )

    def _event(self, at: float, data: bytes) -> None:
        if data == DONE:
            self._done = True
            return
        if not data:
            return
        try:
            event = decoded(data)
        except ProviderError as error:  # for example a heartbeat
            self._unread = error
            return
        if not isinstance(event, dict):
            return
        self._last = at
        try:
            if self._api == "responses":
                self._response(at, event)
            elif delta := self._answer.take(at, event):
                self._said(at, delta.text or delta.thinking)
        except ProviderError as error:
            self._error = self._error or error

    def _response(self, at: float, event: Mapping[str, Any]) -> None:
        """Read an event of the Responses API."""
        kind = text(event.get("type"), 128) or ""
        if kind.endswith(".delta") and isinstance(event.get("delta"), str):
            self._said(at, event["delta"])
        elif kind in ("response.completed", "response.incomplete"):
            self._usage, self._done = mapping(mapping(event.get("response")).get("usage")), True
        elif kind in ("response.failed", "error"):
            raise in_stream(mapping(event.get("response")).get("error") or event)

    def _said(self, at: float, words: str) -> None:
        self._first = at if self._first is None else self._first
        self._characters += len(words)

    def _in_one_piece(self) -> Account:
        try:
            body = _whole(self._rest)
        except ProviderError as error:
            return Account(error=error)
        usage = mapping(body.get("usage"))
        prompt, output = (
            next((found for name in names if (found := tokens(usage.get(name))) is not None), None)
            for names in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens"))
        )
        failure = in_stream(body) if body.get("error") else None
        return Account(
            prompt_tokens=prompt,
            output_tokens=output,
            characters=0 if output is not None else _characters(body),
            whole=failure is None,
            error=failure,
        )


class _Whole(Struct):
    """The fields of a reply in one piece that are decoded. Vectors of embeddings are skipped."""

    usage: Any = None
    choices: Any = None
    error: Any = None


_WHOLE: Final = msgspec.json.Decoder(_Whole)


def _whole(raw: bytearray) -> Mapping[str, Any]:
    """Return usage and choices of a reply in one piece, or all fields of an error. Raises ProviderError (GARBAGE)."""
    try:
        body = _WHOLE.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return mapping(decoded(bytes(raw)))
    return mapping(decoded(bytes(raw))) if body.error else {"usage": body.usage, "choices": body.choices}


def _characters(body: Mapping[str, Any]) -> int:
    """Return the number of characters in the texts of a reply in one piece."""
    found = 0
    for choice in sequence(body.get("choices")):
        message = mapping(mapping(choice).get("message"))
        texts = (mapping(choice).get("text"), *(message.get(name) for name in _TEXTS))
        found += sum(len(one) for one in texts if isinstance(one, str))
    return found
