"""Chat completions in OpenAI's protocol: builds requests, assembles streamed chunks, reads refusals.

The shapes come from public bug reports and API references. `tests/providers/test_streams.py` has an example of each.
"""

import base64
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from vedette.errors import ProviderError
from vedette.providers import Delta, Finished, Generation
from vedette.providers._lenient import (
    count,
    end_reason,
    mapping,
    number,
    sequence,
    text,
    tokens,
    tool_object,
)
from vedette.providers._refusals import FAILED_REASONS, in_stream
from vedette.providers._stream import Calls
from vedette.types import Outcome


class Answer:
    """The state of a streamed answer, except for its deltas.

    *asked* is the name of the requested model, *listed* are the names of the server's models. *is_of_server*
    recognises chunks that the server wrote, not the model.
    """

    def __init__(
        self, *, asked: str, listed: Collection[str], is_of_server: Callable[[Mapping[str, Any]], bool] | None
    ) -> None:
        self.whole = False
        self._is_of_server = is_of_server
        self._asked = asked
        self._listed = listed
        self._streamed = True
        self._index: int | None = None  # of the choice that is read
        self._begun = False  # whether a delta had text or a tool call
        self._is_protocol: bool | None = None  # whether a chunk had choices or usage; None before the first
        self._reason: str | None = None
        self._refused = False  # OpenAI's `refusal` in place of content; its finish_reason is "stop"
        self._usage: Mapping[str, Any] = {}
        self._timings: Mapping[str, Any] = {}
        self._calls = Calls()

    def take(self, at: float, chunk: Mapping[str, Any]) -> Delta | None:
        """Add one chunk that arrived at *at* (monotonic seconds); return its delta, or None if it has no content.

        Raises ProviderError for an error, in the chunk or in its choice, and for an answer of another model.
        """
        if chunk.get("type") == "response.failed":  # the Responses API, of which some gateways pass events on
            chunk = mapping(chunk.get("response"))
        if _is_error(chunk):
            raise in_stream(chunk)
        if self._is_of_server is not None and self._is_of_server(chunk):
            return None
        self._check_model(text(chunk.get("model"), 512))
        choice = self._choice(chunk)
        usage = _usage(chunk, choice)
        # A usage with a `type` next to it is an event of Anthropic's API.
        accounts = bool(usage) and "type" not in chunk
        self._is_protocol = bool(self._is_protocol or accounts or "choices" in chunk or not chunk)
        # Some gateways send a usage of zeros after the usage of their upstream.
        if _counts(usage) or not _counts(self._usage):
            self._usage = usage or self._usage
        if self._begun and not sequence(chunk.get("choices")) and _counts(usage):
            self.whole = True  # some gateways leave out finish_reason and [DONE]; the usage comes last
        self._timings = mapping(chunk.get("timings")) or self._timings
        reason = end_reason(choice.get("finish_reason"))
        if choice.get("error") or (reason or "").lower() in FAILED_REASONS:
            by_reason = {"type": reason, "message": f"finish_reason {reason}"}
            raise in_stream(choice.get("error") or {**by_reason, **mapping(choice.get("finish_reason"))})
        if reason:
            self._reason, self.whole = reason, True
        # A `message` is the complete text: the server ignored `stream`, or repeats the text at the end.
        if choice.get("message") is not None and choice.get("delta") is None:
            self.whole = True
            if self._begun:
                return None
            self._streamed = False
        said = mapping(choice.get("message") if choice.get("delta") is None else choice["delta"])
        self._refused = self._refused or bool(said.get("refusal"))
        called = _called(said)
        for call in called:
            self._calls.take(call)
        delta = _delta(at, choice, said)
        self._begun = self._begun or delta is not None or bool(called)
        return delta

    def _choice(self, chunk: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the part of *chunk* for the choice that is read: index 0, or the first choice that came."""
        choices = [mapping(choice) for choice in sequence(chunk.get("choices"))]
        asked = self._index or 0
        found = next((choice for choice in choices if (choice.get("index") or 0) == asked), None)
        if found is None and self._index is None and choices:
            found = choices[0]
        if found is not None and self._index is None:
            self._index = count(found.get("index"))
        return found or {}

    def _check_model(self, named: str | None) -> None:
        """Raise ProviderError if *named* is another listed model.

        A name that begins with the requested name, for example with a date at its end, is the same model.
        """
        if named is None or named.startswith(self._asked) or named not in self._listed:
            return
        if self._asked in self._listed:
            raise ProviderError(Outcome.GARBAGE, f"{named} replied instead of {self._asked}")

    @property
    def is_of_another_protocol(self) -> bool:
        """Whether no chunk was of OpenAI's protocol. Such a stream would look like an empty answer."""
        return self._is_protocol is False

    def finished(self, at: float, *, skipped: int) -> Finished:
        """Return the end of the answer, with the token counts and speeds that the server reported."""
        output, reasoning = _output_tokens(self._usage)
        return Finished(
            at=at,
            reason="refusal" if self._refused else self._reason,
            prompt_tokens=_prompt_tokens(self._usage),
            output_tokens=output,
            reasoning_tokens=reasoning,
            cached_tokens=self._cached_tokens(),
            server_output_tps=number(self._timings.get("predicted_per_second")),
            server_prompt_tps=number(self._timings.get("prompt_per_second")),
            tool_calls=self._calls.made(),
            streamed=self._streamed,
            skipped=skipped,
        )

    def _cached_tokens(self) -> int | None:
        """Return the number of prompt tokens from a cache, by the usage, else by llama.cpp's timings."""
        details = mapping(self._usage.get("prompt_tokens_details"))
        counted = (tokens(details.get("cached_tokens")), _first(self._usage, *_CACHED))
        return next((n for n in counted if n is not None), tokens(self._timings.get("cache_n")))


# Fields for the prompt tokens from a cache: of DeepSeek, Moonshot, and gateways to Anthropic's API.
_CACHED = ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")


def _is_error(chunk: Mapping[str, Any]) -> bool:
    """Return whether *chunk* is an error: it has `error`, FastAPI's `detail`, or a message with an error code."""
    error = chunk.get("error")
    if (any(error.values()) if isinstance(error, dict) else error) or "error" in (
        chunk.get("object"),
        chunk.get("type"),
    ):
        return True
    if chunk.get("choices") or chunk.get("usage"):
        return False
    place = mapping(chunk.get("base_resp")) or chunk
    coded = any(_is_failure(place.get(name)) for name in ("code", "status_code", "error_code"))
    coded = coded or _is_failed_status(place.get("status"))
    worded = any(isinstance(place.get(name), str) for name in ("message", "msg", "status_msg", "error_msg"))
    failed = bool(chunk.get("errors")) or chunk.get("success") is False
    return failed or isinstance(chunk.get("detail"), str | list | dict) or (worded and coded)


_SUCCESSES = frozenset(("", "0", "200", "ok", "success"))


def _is_failure(code: object) -> bool:
    return isinstance(code, str | int) and str(code).lower() not in _SUCCESSES and code is not False


def _is_failed_status(status: object) -> bool:
    """Return whether *status* is an HTTP error code or a word for failure. Some servers report progress there."""
    if isinstance(status, str) and not status.isdigit():
        return status.lower() in ("error", "fail", "failed", "failure")
    return _is_failure(status)


def _usage(chunk: Mapping[str, Any], choice: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the usage in *chunk*: its own, its choice's (Moonshot), or Groq's."""
    return (
        mapping(chunk.get("usage"))
        or mapping(choice.get("usage"))
        or mapping(mapping(chunk.get("x_groq")).get("usage"))
    )


def _counts(usage: Mapping[str, Any]) -> bool:
    return bool(_output_tokens(usage)[0])


def _called(said: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the pieces of tool calls in a delta; `function_call` is how older servers call one tool."""
    given = said.get("tool_calls")
    pieces = [mapping(call) for call in ([given] if isinstance(given, dict) else sequence(given))]
    older = mapping(said.get("function_call"))
    return pieces or ([{"index": 0, "function": older}] if older else [])


def _output_tokens(usage: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return the output tokens (reasoning included) and the reasoning tokens in *usage*; None where not reported.

    xAI does not include reasoning in `completion_tokens`. All other services do.
    """
    written = _first(usage, "completion_tokens", "output_tokens")
    details = usage.get("completion_tokens_details") or usage.get("output_tokens_details")
    reasoning = tokens(
        mapping(details).get("reasoning_tokens", usage.get("reasoning_tokens"))
    )  # or Perplexity's
    if not reasoning or written is None:
        return written, reasoning
    prompt, total = _prompt_tokens(usage), tokens(usage.get("total_tokens"))
    apart = reasoning > written or (prompt is not None and total == prompt + written + reasoning)
    return written + reasoning if apart else written, reasoning


def _prompt_tokens(usage: Mapping[str, Any]) -> int | None:
    return _first(usage, "prompt_tokens", "input_tokens")


def _first(usage: Mapping[str, Any], *names: str) -> int | None:
    """Return the first count that *usage* has under *names*. Some servers send several names, some of them null."""
    return next((found for name in names if (found := tokens(usage.get(name))) is not None), None)


def _delta(at: float, choice: Mapping[str, Any], said: Mapping[str, Any]) -> Delta | None:
    spoken, thinking = _parts(said.get("content", choice.get("text")))
    if mapping(mapping(said.get("extra_content")).get("google")).get("thought") is True:
        spoken, thinking = "", spoken + thinking
    thinking += _thought(said)
    if not spoken and not thinking:
        return None
    return Delta(at=at, text=spoken, thinking=thinking)


def _parts(content: object) -> tuple[str, str]:
    """Return the text and the reasoning in *content*, which is a text or a list of parts (Mistral, Anthropic)."""
    if isinstance(content, str):
        return content, ""
    if isinstance(content, dict):
        content = [content]
    spoken, thinking = "", ""
    for part in map(mapping, sequence(content)):
        if "thinking" in part:
            thinking += "".join(_texts(part["thinking"]))
        elif part.get("type") in ("reasoning", "thinking"):
            thinking += "".join(_texts(part.get("text") or part.get("summary")))
        else:
            spoken += "".join(_texts(part.get("text")))
    return spoken, thinking


def _thought(said: Mapping[str, Any]) -> str:
    """Return the reasoning in a delta. Servers use different field names, and some send it under two of them."""
    for name in ("reasoning_content", "reasoning", "thinking", "reasoning_text"):
        if (thoughts := said.get(name)) is None:
            continue
        if found := "".join(_texts([thoughts] if isinstance(thoughts, dict) else thoughts)):
            return found
    for name in ("reasoning_details", "thinking_blocks"):
        if (thoughts := said.get(name)) is None:
            continue
        if found := "".join(
            piece
            for part in map(mapping, sequence(thoughts))
            for piece in _texts(part.get("text") or part.get("summary") or part.get("thinking"))
        ):
            return found
    return ""


def _texts(value: object) -> Iterator[str]:
    """Yield the texts in *value*: a text, or a list of parts with one each."""
    if isinstance(value, str):
        yield value
    for part in sequence(value):
        found = part if isinstance(part, str) else mapping(part).get("text")
        if isinstance(found, str):
            yield found


# Parameters that a request can do without if a server refuses them. Tools and schema are not optional.
OPTIONAL_PARAMETERS = ("temperature", "stream_options", "max_completion_tokens", "max_tokens")
STREAM = "stream"
# How OpenAI and Azure OpenAI refuse to stream at all. Other servers refuse to stream tool calls only.
_NO_STREAM = re.compile(
    r"[\"'`]stream[\"'`] (?:does not support true|is not supported)|verified to stream"
    r"|(?:does not|doesn.t) support streaming|streaming is not (?:supported|available)",
    re.IGNORECASE,
)


def refused_parameter(error: ProviderError, sent: Mapping[str, Any]) -> str | None:
    """Return the parameter of *sent* that the refusal *error* names, if the request can do without it, else None."""
    if STREAM in sent and _NO_STREAM.search(error.detail) and not re.search(r"\btool", error.detail):
        return STREAM
    if error.outcome not in (Outcome.BAD_REQUEST, Outcome.UNSUPPORTED):
        return None
    received = error.exchange.received if error.exchange else None
    text = f"{error.detail} {received or ''}"
    named = [name for name in OPTIONAL_PARAMETERS if name in sent and re.search(rf"\b{name}\b", text)]
    # A refusal of max_tokens often recommends max_completion_tokens: only names that were sent count.
    if not named or (named[0].startswith("max_") and _is_about_size(text)):
        return None
    return named[0]


def _is_about_size(text: str) -> bool:
    return (
        re.search(
            r"too (large|long|small)|maximum context|at (least|most)|exceed|\brange\b|[<>]="
            r"|(greater|less) than|(below|above|between|minimum|maximum)\b",
            text,
        )
        is not None
    )


def request_body(request: Generation, *, reasons: bool, without: Collection[str] = ()) -> dict[str, Any]:
    """Return the body of *request*.

    *reasons*: the server's models may reason, so they take `max_completion_tokens` and no temperature. *without* are
    the optional parameters that this model has refused.
    """
    asked: dict[str, Any] = (
        {"messages": [{"role": "user", "content": _content(request)}]}
        if request.chat
        else {"prompt": request.prompt}
    )
    if request.tools:
        asked["tools"] = [tool_object(tool) for tool in request.tools]
    if request.schema is not None:
        schema = {"name": "answer", "strict": True, "schema": request.schema}
        asked["response_format"] = {"type": "json_schema", "json_schema": schema}
    # max_tokens is the default: Ollama and llama-cpp-python ignore max_completion_tokens and generate for minutes.
    # OpenAI's reasoning models refuse max_tokens, and any temperature except their default.
    completion_limit = (reasons or "max_tokens" in without) and "max_completion_tokens" not in without
    limit = "max_completion_tokens" if completion_limit else "max_tokens"
    optional: dict[str, Any] = (
        {} if STREAM in without else {"stream_options": {"include_usage": True}, STREAM: True}
    )
    if not reasons:
        optional["temperature"] = request.temperature
    return {
        "model": request.model,
        **asked,
        limit: request.max_tokens,
        **{name: value for name, value in optional.items() if name not in without},
    }


def _content(request: Generation) -> str | list[dict[str, Any]]:
    if request.image is None:
        return request.prompt
    url = "data:image/png;base64," + base64.b64encode(request.image).decode()
    return [{"type": "text", "text": request.prompt}, {"type": "image_url", "image_url": {"url": url}}]
