"""Reads a server's refusal: its words, its outcome, and the time that it asks to wait. Pure."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import chain
from typing import Any, Final, NamedTuple

from vedette.errors import ProviderError
from vedette.providers._lenient import (
    MAX_TITLE_AT,
    decimal,
    decoded,
    html_title,
    http_date,
    mapping,
    markup,
    moment,
    number,
    sequence,
    since_epoch,
    text,
    tokens,
)
from vedette.providers._outcomes import NO_UPSTREAM, outcome, without_status
from vedette.types import Outcome

MAX_WORDS: Final = 300  # characters
MAX_WAIT_S: Final = 86_400.0
MIN_CONTEXT_TOKENS: Final = 64  # a smaller number is not a context size
_COUNT: Final = r"(\d[\d,]{1,12})\b"
_LIMITS: Final = re.compile(
    r"(?:context (?:length|size|window|limit)|model length|maximum prompt length|tokens allowed|max size|max_seq_len"
    rf"|\bn_ctx)\W+(?:(?:is|of|only)\W+)*{_COUNT}(?! \+)"
    rf"|tokens > {_COUNT} max|max_new_tokens\W+must be <= {_COUNT}|context limit\W+[\d,]+ \+ [\d,]+ > {_COUNT}"
    rf"|{_COUNT} maximum context|input length should be \[\d+, ?{_COUNT}\]"
    rf"|current length is \d+ while limit is {_COUNT}",
    re.IGNORECASE,
)
_OF_TOKENS: Final = (
    rf"{_COUNT}(?! (?!tokens\b)\w+s\b)"  # a bare number, or a number of tokens; not `2048 messages`
)
# More general words for a limit. They count only if the text is about the length of the input.
_LIMITS_OF_INPUT: Final = re.compile(
    rf"(?:cannot|must not|should not) exceed {_OF_TOKENS}|exceeds? the (?:\w+ )?limit of {_OF_TOKENS}"
    rf"|\b(?:token limit|limit is)\W+(?:(?:is|of)\W+)*{_OF_TOKENS}|must have (?:less|fewer) than {_COUNT} tokens",
    re.IGNORECASE,
)
_OF_THE_INPUT: Final = re.compile(r"\b(?:prompt|inputs?|messages?|context|request)\b", re.IGNORECASE)
_OF_LENGTH: Final = re.compile(r"token|context", re.IGNORECASE)
# Words for other limits: of the output, of a rate, and of things other than tokens.
_OF_OTHERS: Final = re.compile(
    r"max_\w*tokens|max(?:imum)? tokens|(?:output|completion) tokens"
    r"|(?:per|\ban?|\beach)[ _](?:second|minute|hour|day)|\b[TR]P[MD]\b|\brate\b|\bquota\b"
    r"|image|\b(?:character|byte|array|batch|item)",
    re.IGNORECASE,
)
# The HTTP status for the type of an error in a stream (OpenAI, Anthropic, Google).
_BY_TYPE: Final[Mapping[str, int]] = {
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "rate_limit": 429,
    "ratelimiterror": 429,
    "too_many_requests": 429,
    "throttlingexception": 429,
    "resource_exhausted": 429,
    "insufficient_quota": 402,
    "billing_error": 402,
    "authentication_error": 401,
    "authenticationerror": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "badrequesterror": 400,
    "exceed_context_size_error": 400,
    "overloaded_error": 529,
    "unavailable": 503,
    "unavailable_error": 503,
    "serviceunavailableerror": 503,
    "insufficient_system_resource": 503,
    "timeout_error": 408,
    "deadline_exceeded": 504,
}
# Values of finish_reason that mean a failure (OpenRouter, z.ai, DeepSeek, vLLM, Cohere).
FAILED_REASONS: Final = frozenset(
    {
        "error", "network_error", "insufficient_system_resource", "failed", "abort", "aborted", "timeout",
        "server_error", "internal_error", "cancelled", "canceled",
    }
)  # fmt: skip


class Refused(NamedTuple):
    """The outcome of a refusal, and its words."""

    outcome: Outcome
    said: str  # the message in the body
    marks: str = ""  # type, code and similar fields of the error
    markup: str | None = None  # "an HTML page" or "XML", if the body is markup


def judged(status: int, headers: Mapping[str, str], body: bytes) -> Refused:
    """Return the refusal in a reply with *status* and the error *body*. *headers* must have lower-case names."""
    said_words, marks, kind = words(body), _marks(body), markup(body)
    found = outcome(
        status,
        f"{said_words}\n{marks}",
        by_markup=kind is not None,
        names_wait=any(_RETRY_AFTER.search(name) for name in headers),
    )
    return Refused(found, said_words, marks, kind)


def wait_s(headers: Mapping[str, str], body: bytes, now: datetime) -> float | None:
    """Return the time that a refusal asks to wait (s, at most a day), or None.

    *headers* must have lower-case names. A point in time is compared with the server's `Date` header, else with *now*.
    """
    now = http_date(headers.get("date")) or now
    found = _plain_wait(headers, now)
    if found is None:
        found = _body_wait(body, now)
    if found is None:
        found = _reset_wait(headers, now)
    return None if found is None or found != found else min(max(found, 0.0), MAX_WAIT_S)


def _plain_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the wait (s) in Retry-After or a similar header, or None.

    The value may be in milliseconds (OpenAI, Azure), in seconds, a date, or any form that `_until` reads.
    """
    asked = {name: value for name, value in headers.items() if _RETRY_AFTER.search(name)}
    for name in sorted(asked, key=lambda name: (not name.endswith("ms"), len(name))):
        value = asked[name]
        at = http_date(value)
        # If two proxies each add the header, its value is a list.
        wait = (at - now).total_seconds() if at else _until(re.split("[,;]", value)[0], now)
        if wait is not None:
            return wait / 1000 if name.endswith("ms") else wait
    return None


def _body_wait(body: bytes, now: datetime) -> float | None:
    """Return the wait (s) in an error body, or None.

    Read from a field, from Google's RetryInfo, from the words, or from the headers of an upstream (OpenRouter).
    """
    reply = _object(body)
    error = mapping(reply.get("error"))
    details = [mapping(detail) for detail in sequence(error.get("details"))]
    passed_on = mapping(error.get("metadata"))  # OpenRouter
    places = (
        error,
        reply,
        passed_on,
        mapping(reply.get("detail")),
        *map(mapping, sequence(reply.get("errors"))[:1]),
    )
    for place in (*places, *details, *(mapping(detail.get("metadata")) for detail in details)):
        for name, value in place.items():
            field = re.sub(r"[-_]", "", name.lower())
            wait = _field_wait(value, now) if field in _WAITS else None
            if wait is not None:
                return wait / 1000 if field.endswith("ms") else wait
    # Decoded words first: in the raw body, many servers escape characters beyond ASCII (`\\u79d2`).
    said = f"{words(body)} {body[:4096].decode(errors='replace')}"
    if (wait := _worded_wait(said)) is not None:
        return wait
    if (back := _BACK_AT.search(said)) and (at := moment(f"{back[1]}T{back[2] or '00:00'}")):
        return (at - now).total_seconds()
    if clock := _AGAIN_BY_CLOCK.search(said):
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
    headers = mapping(passed_on.get("headers"))
    return _reset_wait({name.lower(): str(value) for name, value in headers.items()}, now)


def _worded_wait(said: str) -> float | None:
    """Return the duration (s) in words such as `try again in 7m12s`, or None."""
    if (again := _AGAIN.search(said)) is None:
        return None
    asked = again[1] or again[again.lastindex or 0]
    wait = _duration(asked) or _number(asked)
    return None if wait is None else min(wait, MAX_WAIT_S)


def _field_wait(value: object, now: datetime) -> float | None:
    """Return the wait (s) in a field: seconds, a point in time, a text of either, or a protobuf duration; else None."""
    if isinstance(value, dict):
        return number(value.get("seconds"))
    return (
        _until(str(value)[:64], now)
        if isinstance(value, str | int | float) and not isinstance(value, bool)
        else None
    )


def _reset_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the time until the rate limit resets (s), or None.

    Of several limits, the latest reset of the used-up limits, else the latest of all limits.
    """
    resets = {name: value for name, value in headers.items() if _RESET.search(name)}
    used_up = {
        name: value
        for name, value in resets.items()
        if headers.get(name.replace("reset", "remaining")) == "0"
    }
    waits = [_until(value, now) for value in (used_up or resets).values()]
    waits += _listed_waits(headers.get("ratelimit", ""))
    return max((wait for wait in waits if wait is not None), default=None)


def _listed_waits(ratelimit: str) -> list[float]:
    """Return the resets (s) in a `RateLimit` header: of the policies that are used up, else of all."""
    policies = ratelimit.split(",") if ";" in ratelimit else [ratelimit]
    used_up = [policy for policy in policies if _LISTED_NONE.search(policy)]
    found = map(_LISTED_RESET.search, used_up or policies)
    return [float(one[1]) for one in found if one]


def _until(value: str, now: datetime) -> float | None:
    """Return the seconds until *value*, or None.

    *value* is a duration (`6m0s`), seconds, Unix time in seconds or milliseconds, or a date.
    """
    amount = _number(value)
    if amount is not None and amount <= _MIN_EPOCH_S:
        return amount
    at = moment(value) or http_date(value) if amount is None else since_epoch(amount)
    return _duration(value) if at is None else (at - now).total_seconds()


_MIN_EPOCH_S = 1e9  # a larger number is a Unix time (since 2001), a smaller one is a wait
_PART = r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?)(?![a-z])"
_DURATION = re.compile(_PART, re.IGNORECASE)
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
# `try again in 7m12s` (Groq, OpenAI), `Try again in 60 seconds` (LiteLLM), `retry after 26 seconds` (Azure OpenAI),
# `quota will reset after 14s` (Gemini CLI), `Retry after: 30` in seconds, `30 秒后重试`.
_AGAIN = re.compile(
    r"(?:(?:try again|\bretry|resets?)[- ](?:in|after)\b|(?:please |[\".:] ?)wait(?: for)?\b)\W{1,3}"
    rf"((?:{_PART}(?:,? and |,? )?){{1,4}})|\b(?:try again|retry)[- ](?:in|after)\W{{1,3}}"
    r"(\d+(?:\.\d+)?)(?![\d:/-]|\.\d|\s*[a-z%])"
    r"|(\d{1,9}) ?秒后",
    re.IGNORECASE,
)
# `Quota will be replenished in 5.04:03:02` (Azure API Management): days, hours, minutes, seconds.
_AGAIN_BY_CLOCK = re.compile(
    r"(?:again|replenished|resets?) (?:in|after) (?:(\d{1,3})\.)?(\d\d):(\d\d):(\d\d)\b"
)
# `Your limit resets at 2026-12-01 00:00 UTC`, `You will regain access on 2026-12-01 at 00:00 UTC` (LiteLLM).
_BACK_AT = re.compile(
    r"(?:again|access|resets?|available|retry)\b\D{0,20}(\d{4}-\d\d-\d\d)(?:(?:T| at | )"
    r"(\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?: ?(?:Z|UTC)|[+-]\d\d:\d\d)?))?",
    re.IGNORECASE,
)
# Fields of an error with a wait, in lower case without `_` and `-` (Codex, Hugging Face, Google).
_WAITS: Final = frozenset(
    (
        "retryafter", "retryafters", "retryafterseconds", "retryafterms", "retryin", "retrydelay", "resetsinseconds",
        "resetsat", "resetat", "resettime", "quotaresetdelay", "estimatedtime",
    )
)  # fmt: skip
_RETRY_AFTER = re.compile(r"(?:^|-)retry-?after(?:-ms)?$")
_RESET = re.compile(r"rate-?limit.*(?:reset|timeremaining)")
# The `RateLimit` header of the IETF drafts: `limit=100, remaining=0, reset=50`, later `"default";r=0;t=30`.
_LISTED_RESET = re.compile(r"\b(?:reset|t)=(\d{1,9})\b")
_LISTED_NONE = re.compile(r"\br=0\b")


def _duration(value: str | None) -> float | None:
    parts = _DURATION.findall(value or "")
    return sum(float(amount) * _unit_s(unit.lower()) for amount, unit in parts) if parts else None


def _unit_s(unit: str) -> float:
    return _UNITS["ms" if unit == "ms" else unit[0]]


def _number(value: str | None) -> float | None:
    return decimal(value.strip()) if value else None


def words(body: bytes) -> str:
    """Return the message in an error body: of a JSON object, of plain text, or the title of an HTML page."""
    try:
        reply = decoded(body)
    except ProviderError:
        if markup(body):
            shown = NO_UPSTREAM.search(body[:MAX_TITLE_AT].decode("utf-8", "replace"))
            return "; ".join(dict.fromkeys(filter(None, (html_title(body), shown and shown[0]))))
        return text(body.decode("utf-8", "replace"), MAX_WORDS) or ""
    return said(reply)


def _object(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object in *body*, the first object of a list (Google), or an empty object."""
    try:
        reply = decoded(body)
    except ProviderError:
        return {}
    return mapping(next(iter(reply), None) if isinstance(reply, list) else reply)


def _marks(body: bytes) -> str:
    """Return the type, code, status and reason of an error body, for example `content_filter`, as one text."""
    reply = _object(body)
    error = mapping(reply.get("error")) or reply
    marks = [error.get(name) for name in ("type", "code", "status", "reason")]
    for detail in map(mapping, sequence(error.get("details"))):  # Google names the quota only here
        marks += [mapping(one).get("quotaId") for one in sequence(detail.get("violations"))]
    marks += [name for name in ("signin_url",) if name in reply]
    return " ".join(filter(None, (text(mark, 128) for mark in marks)))


def said(error: Any) -> str:
    """Return the messages in a decoded error, without repetition; empty if there are none.

    Read from `message`, `detail`, `errors` and similar fields, and from the error of an upstream. Without any of
    them, the `title` of a problem [RFC 9457].
    """
    found = text("; ".join(dict.fromkeys(_words(error, depth=4))), MAX_WORDS)
    return found or text(mapping(error).get("title"), MAX_WORDS) or ""


# Fields of an error that hold its message, in lower case without `_`: AWS writes `Message`. `base_resp` is MiniMax's,
# `OriginalMessage` SageMaker's.
_WORDS: Final = (
    "error", "message", "msg", "detail", "errors", "errordescription", "errormsg", "errmsg", "statusmsg", "baseresp",
    "originalmessage",
)  # fmt: skip


def _words(error: Any, *, depth: int) -> Iterator[str]:
    if isinstance(error, str):
        if plain := text(error, MAX_WORDS):
            yield plain
    elif depth and isinstance(error, list):
        for inner in error[:3]:
            yield from _words(inner, depth=depth - 1)
    elif depth and isinstance(error, dict):
        # FastAPI: `loc` is the refused field of the request.
        place = ".".join(str(part) for part in sequence(error.get("loc")) if part != "body")
        fields: dict[str, list[Any]] = {}  # two names may become one: `Message` and `message`
        for written, value in error.items():
            fields.setdefault(str(written).lower().replace("_", ""), []).append(value)
        for value in chain.from_iterable(fields.get(name, ()) for name in _WORDS):
            for found in _words(value, depth=depth - 1):
                yield f"{place}: {found}" if place else found
        # The words of an upstream: of OpenRouter's, of the engine that Lemonade runs.
        yield from _words(mapping(error.get("metadata")).get("raw"), depth=depth - 1)
        yield from _words(mapping(error.get("details")).get("response"), depth=depth - 1)


def context_limit(found: Outcome, said: str, body: bytes = b"") -> int | None:
    """Return the context limit (tokens) that a refusal with the outcome *found* and the words *said* names, or None.

    Knows the words of OpenAI, vLLM, SGLang, llama.cpp, llama-cpp-python, LM Studio, TabbyAPI, Text Generation
    Inference, Anthropic, Gemini, Mistral, Cohere, xAI, Cerebras, Moonshot, DashScope; else llama.cpp's `n_ctx`.
    """
    if found in (Outcome.RATE_LIMITED, Outcome.QUOTA_USED):
        return None
    patterns = [_LIMITS]
    if _OF_THE_INPUT.search(said) and _OF_LENGTH.search(said) and not _OF_OTHERS.search(said):
        patterns.append(_LIMITS_OF_INPUT)
    figures = (figure for pattern in patterns for groups in pattern.findall(said) for figure in groups)
    named = [int(figure.replace(",", "")) for figure in figures if figure]
    if not named and b"exceed_context_size_error" in body:
        with suppress(ProviderError):
            named = [tokens(mapping(mapping(decoded(body)).get("error")).get("n_ctx")) or 0]
    # Of two numbers, the larger one is the size of the request.
    limit = min(named, default=0)
    return limit if limit >= MIN_CONTEXT_TOKENS else None


def in_stream(error: Any) -> ProviderError:
    """Return the ProviderError for an *error* object in a stream. Its code or type, if any, gives the HTTP status."""
    fields = mapping(error)
    fields = mapping(fields.get("error")) or fields
    detail = said(error) or "the stream failed without a reason"
    names = ("code", "status", "status_code", "StatusCode", "http_status_code", "type")
    status = next((code for name in names if (code := _status(fields.get(name))) is not None), None)
    found = without_status(detail) if status is None else outcome(status, detail)
    return ProviderError(
        found, detail, context_tokens=context_limit(found, detail), retry_after_s=_worded_wait(detail)
    )


def _status(value: object) -> int | None:
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"[45]\d\d", value) else _BY_TYPE.get(value.lower())
    return value if isinstance(value, int) and 400 <= value < 600 else None
