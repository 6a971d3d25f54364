"""What a server's refusal says: its own words, and the outcome that they and the status mean. Pure."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from vedette.errors import ProviderError
from vedette.providers._lenient import (
    decimal,
    decoded,
    html_title,
    http_date,
    mapping,
    moment,
    sequence,
    since_epoch,
    text,
    tokens,
)
from vedette.types import Outcome

MAX_WORDS: Final = 300  # characters
MAX_WAIT_S: Final = 86_400.0
_BY_STATUS: Final[Mapping[int, Outcome]] = {
    400: Outcome.BAD_REQUEST,
    401: Outcome.AUTH_FAILED,
    402: Outcome.NO_CREDIT,
    403: Outcome.AUTH_FAILED,
    404: Outcome.NOT_FOUND,
    405: Outcome.UNSUPPORTED,
    407: Outcome.AUTH_FAILED,
    408: Outcome.TIMEOUT,
    409: Outcome.BUSY,
    410: Outcome.NOT_FOUND,
    413: Outcome.TOO_LARGE,
    424: Outcome.SERVER_ERROR,  # Text Generation Inference: the generation failed
    425: Outcome.BUSY,
    429: Outcome.RATE_LIMITED,
    451: Outcome.FORBIDDEN,
    498: Outcome.BUSY,  # Groq: no flex capacity
    499: Outcome.TIMEOUT,  # nginx: who asked has hung up, here a proxy on the way
    501: Outcome.UNSUPPORTED,
    503: Outcome.BUSY,
    504: Outcome.TIMEOUT,
    522: Outcome.TIMEOUT,  # Cloudflare: the origin takes no connection in time
    524: Outcome.TIMEOUT,  # and does not answer in time
    529: Outcome.BUSY,  # Anthropic's "overloaded"
}
_NO_CREDIT: Final = re.compile(
    r"credit balance|insufficient[ _](?:user_)?(?:credit|balance|fund|quota)|no (?:more )?credit|out of credit|billing"
    r"|payment required|exceeded your current quota|budget_exceeded|budget has been exceeded|over budget|good standing"
    r"|free tier .{0,40}exhausted|额度|余额不足|欠费",
    re.IGNORECASE,
)
# With a status of 400 or 403 only: a 429 says it of a minute, too.
_SPENT: Final = re.compile(
    r"(?:reached|exceeded).{0,40}(?:key|usage|spend|credit) limits?\b"
    r"|(?:key|usage|spend|credit) limits? (?:reached|exceeded)",
    re.IGNORECASE,
)
MIN_CONTEXT_TOKENS: Final = 64  # what names less is no context
_LIMITS: Final = re.compile(
    r"(?:context (?:length|size|window)|model length|tokens allowed)\W+(?:(?:is|of|only)\W+)*(\d[\d,]{1,12})"
    r"|tokens > (\d[\d,]{1,12}) max|max_new_tokens\W+must be <= (\d[\d,]{1,12})",
    re.IGNORECASE,
)
_OF_THE_DAY: Final = re.compile(r"per[ _-]?day|daily|\b[TR]PD\b|(?:weekly|monthly) \w+ limit", re.IGNORECASE)
_OF_THE_KEY: Final = re.compile(
    r"(?:invalid|incorrect|missing|expired|wrong|no|bad|revoked)\W+(?:\w+\W+){0,2}?(?:key|token|credential)|authenticat",
    re.IGNORECASE,
)
_BY_POLICY: Final = re.compile(
    r"country|region\b|regions\b|territor|location is not|moderation|flagged|gated|terms of|must be verified"
    r"|data policy|content management policy|content_filter|content exists risk|inappropriate content|data_inspection",
    re.IGNORECASE,
)
# With status 403 only: a 400 says of a parameter, too, that it is not permitted.
_NO_ACCESS: Final = re.compile(
    r"restricted|requires a (?:\w+ )?(?:subscription|plan)"
    r"|not (?:allowed|authorized|permitted|available)|access to (?:the )?model|does not have access",
    re.IGNORECASE,
)
# Google says `check your plan and billing details` of every limit, also of one for a minute.
_OF_A_WHILE: Final = re.compile(r"quota exceeded for metric|(?:retry|try again) in", re.IGNORECASE)
_RATE_LIMIT: Final = re.compile(r"rate.?limit|too many requests", re.IGNORECASE)
# LM Studio and some proxies say so with status 200.
_NO_PATH: Final = re.compile(
    r"unexpected endpoint|unknown (?:url|path|endpoint|route)|no such (?:path|route)", re.IGNORECASE
)
_NOT_LOADED: Final = re.compile(
    r"no models? (?:is )?loaded|model is (?:unloaded|not loaded)|failed to load model|insufficient system resources",
    re.IGNORECASE,
)
_API_KEY: Final = re.compile(
    r"(?:invalid|incorrect|missing|wrong|no|provide an?|valid) api[ _-]?key\b"
    r"|api[ _-]?key (?:not|is|was|has|expired|invalid)",
    re.IGNORECASE,
)
_NO_ACCESS_TO_MODEL: Final = re.compile(
    r"allowed to access (?:the )?model|model_access_denied", re.IGNORECASE
)
# What a proxy says that reaches no server: Traefik, Envoy, HAProxy, nginx.
NO_UPSTREAM: Final = re.compile(
    r"no available server|no healthy upstream|upstream connect error|no server is available|bad gateway",
    re.IGNORECASE,
)
# How servers refuse what a model cannot do with a status that says otherwise: OpenAI and OpenRouter with 404, llama.cpp
# with 500. Google says of a model that is gone that it "is not supported for generateContent".
_UNSUPPORTED: Final[Mapping[int, re.Pattern[str]]] = {
    404: re.compile(r"not a chat model|only supported in|no endpoints found that support", re.IGNORECASE),
    500: re.compile(r"(?:input|param|parameter|tools) (?:is|are) not supported|requires --", re.IGNORECASE),
}
# Xinference, LiteLLM and others answer 400 for a model that they do not have.
_NO_MODEL: Final = re.compile(
    r"model not found|no such model|invalid model name|model_not_found"
    r"|\bmodel \S{1,200} (?:was )?(?:not found|does not exist)",
    re.IGNORECASE,
)
# The status of kinds of errors, which a stream names alone: OpenAI's, Anthropic's and Google's.
_BY_TYPE: Final[Mapping[str, int]] = {
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "rate_limit": 429,
    "ratelimiterror": 429,
    "too_many_requests": 429,
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
# Reasons why a stream ended that name a failure and no end of an answer (OpenRouter, z.ai, DeepSeek, vLLM).
FAILED_REASONS: Final = frozenset(
    {"error", "network_error", "insufficient_system_resource", "failed", "abort"}
)


def outcome(status: int, said: str, *, by_page: bool = False) -> Outcome:
    """Return the outcome of a reply with *status* whose words and marks are *said*, an HTML page where *by_page*.

    What a service refuses for money, place or policy says nothing of the model, with whatever status it comes.
    """
    if status == 503 and "loading" in said.lower():
        return Outcome.LOADING
    if status == 403 and by_page:
        return Outcome.FORBIDDEN
    if status == 503 and NO_UPSTREAM.search(said):
        return Outcome.SERVER_ERROR
    if status in _UNSUPPORTED and _UNSUPPORTED[status].search(said):
        return Outcome.UNSUPPORTED
    if status in (400, 404) and _NOT_LOADED.search(said):
        return Outcome.SERVER_ERROR
    if status == 429 and _OF_THE_DAY.search(said):
        return Outcome.QUOTA_USED
    if status == 429 and _OF_A_WHILE.search(said):
        return Outcome.RATE_LIMITED
    if status in (400, 403, 429) and _NO_CREDIT.search(said):
        return Outcome.NO_CREDIT
    if status in (400, 403) and _SPENT.search(said):
        return Outcome.NO_CREDIT
    if status in (400, 404) and _NO_MODEL.search(said):
        return Outcome.NOT_FOUND
    by_policy = _BY_POLICY.search(said) or (status == 403 and _NO_ACCESS.search(said))
    if status in (400, 403, 404) and by_policy and not _OF_THE_KEY.search(said):
        return Outcome.FORBIDDEN
    if status == 401 and _NO_ACCESS_TO_MODEL.search(said):
        return Outcome.FORBIDDEN
    if status == 400 and _API_KEY.search(said):  # Google, xAI
        return Outcome.AUTH_FAILED
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return Outcome.SERVER_ERROR if status >= 500 else Outcome.BAD_REQUEST


def judged(status: int, body: bytes) -> tuple[Outcome, str]:
    """Return the outcome of a reply with *status* and the error *body*, and the body's own words."""
    said_words = words(body)
    return outcome(status, f"{said_words} {_marks(body)}", by_page=is_page(body)), said_words


def is_page(body: bytes) -> bool:
    """Return whether *body* is an HTML page."""
    return body.lstrip()[:1] == b"<"


def wait_s(headers: Mapping[str, str], body: bytes, now: datetime) -> float | None:
    """Return how long a refusal asks to wait (s, at most a day), or None.

    *headers* have lower-case names. A time is compared with the server's own `Date`, else with *now*.
    """
    now = http_date(headers.get("date")) or now
    found = _plain_wait(headers, now)
    if found is None:
        found = _body_wait(body, now)
    if found is None:
        found = _reset_wait(headers, now)
    return None if found is None or found != found else min(max(found, 0.0), MAX_WAIT_S)


def _plain_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return what Retry-After says: in milliseconds (OpenAI's), as a date, in seconds, or as resets are written."""
    milliseconds, retry_after = _number(headers.get("retry-after-ms")), headers.get("retry-after")
    if milliseconds is not None:
        return milliseconds / 1000
    at = http_date(retry_after)
    # Two proxies that each add the header make a list of it.
    return (at - now).total_seconds() if at else _until((retry_after or "").partition(",")[0], now)


def _body_wait(body: bytes, now: datetime) -> float | None:
    """Return the wait in a body: a field of seconds, Google's RetryInfo, the headers of an upstream, or in words."""
    try:
        reply = mapping(decoded(body))
    except ProviderError:
        reply = {}
    error = mapping(reply.get("error"))
    for place in (error, reply):
        for name in _WAITS:
            value = place.get(name)
            wait = _until(str(value)[:64], now) if isinstance(value, str | int | float) else None
            if wait is not None:
                return wait / 1000 if name.endswith("_ms") else wait
    for detail in map(mapping, sequence(error.get("details"))):
        if "retryDelay" in detail:
            return _duration(text(detail["retryDelay"]))
    passed_on = mapping(mapping(error.get("metadata")).get("headers"))  # OpenRouter
    said = body[:4096].decode(errors="replace")
    if again := _AGAIN.search(said):
        return _duration(again[1])
    if (back := _BACK_AT.search(said)) and (at := moment(f"{back[1]}T{back[2]}")):
        return (at - now).total_seconds()
    return _reset_wait({k.lower(): str(v) for k, v in passed_on.items()}, now)


def _reset_wait(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return when the rate limit that is used up begins again: the latest, where several are or none says so."""
    resets = {name: value for name, value in headers.items() if _RESET.search(name)}
    used_up = {
        name: value
        for name, value in resets.items()
        if headers.get(name.replace("reset", "remaining")) == "0"
    }
    waits = [_until(value, now) for value in (used_up or resets).values()]
    waits += [float(found[1]) for found in (_LISTED_RESET.search(headers.get("ratelimit", "")),) if found]
    return max((wait for wait in waits if wait is not None), default=None)


def _until(value: str, now: datetime) -> float | None:
    """Return the seconds to a reset: a duration (`6m0s`), seconds, an epoch in seconds or milliseconds, a date."""
    amount = _number(value)
    if amount is not None and amount <= _MIN_EPOCH_S:
        return amount
    at = moment(value) or http_date(value) if amount is None else since_epoch(amount)
    return _duration(value) if at is None else (at - now).total_seconds()


_MIN_EPOCH_S = 1e9  # in 2001, and as a wait longer than any
_PART = r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|seconds?|secs?|minutes?|mins?|hours?|hrs?|days?)(?![a-z])"
_DURATION = re.compile(_PART, re.IGNORECASE)
_UNITS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
# `try again in 7m12s` (Groq, OpenAI), `Try again in 60 seconds` (LiteLLM), `retry after 26 seconds` (Azure OpenAI).
_AGAIN = re.compile(
    rf"(?:(?:try again|retry) (?:in|after)|please wait(?: for)?) ((?:{_PART}(?:,? and |,? )?){{1,4}})",
    re.IGNORECASE,
)
# `Your limit resets at 2026-12-01 00:00 UTC`, `You will regain access on 2026-12-01 at 00:00 UTC` (LiteLLM).
_BACK_AT = re.compile(
    r"(?:again|access|resets?|available|retry)\b\D{0,20}(\d{4}-\d\d-\d\d)(?:T| at | )"
    r"(\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?: ?(?:Z|UTC)|[+-]\d\d:\d\d)?)",
    re.IGNORECASE,
)
# Fields of an error, in seconds or as a time (Codex, Hugging Face).
_WAITS: Final = (
    "retry_after",
    "retryAfter",
    "retry_after_seconds",
    "retry_after_ms",
    "resets_in_seconds",
    "resets_at",
    "reset_at",
    "estimated_time",
)
_RESET = re.compile(r"ratelimit.*(?:reset|timeremaining)")
# The header `RateLimit` of the IETF's drafts: `limit=100, remaining=0, reset=50`, later `"default";r=0;t=30`.
_LISTED_RESET = re.compile(r"\b(?:reset|t)=(\d{1,9})\b")


def _duration(value: str | None) -> float | None:
    parts = _DURATION.findall(value or "")
    return sum(float(amount) * _unit_s(unit.lower()) for amount, unit in parts) if parts else None


def _unit_s(unit: str) -> float:
    return _UNITS["ms" if unit == "ms" else unit[0]]


def _number(value: str | None) -> float | None:
    return decimal(value.strip()) if value else None


def words(body: bytes) -> str:
    """Return an error body's own words: of an object, of plain text, or the title of an HTML page."""
    try:
        reply = decoded(body)
    except ProviderError:
        if is_page(body):
            return html_title(body) or ""
        return text(body.decode("utf-8", "replace"), MAX_WORDS) or ""
    return said(reply)


def _marks(body: bytes) -> str:
    """Return the names by which an error body calls its kind, `content_filter` or `budget_exceeded` say."""
    try:
        reply = mapping(decoded(body))
    except ProviderError:
        return ""
    error = mapping(reply.get("error")) or reply
    return " ".join(filter(None, (text(error.get(name), 64) for name in ("type", "code", "status"))))


def said(error: Any) -> str:
    """Return the words of a decoded error, each once: `message`, `detail`, `errors`, and what an upstream said."""
    return text("; ".join(dict.fromkeys(_words(error, depth=4))), MAX_WORDS) or ""


# Where errors say what is wrong; in `base_resp` MiniMax does.
_WORDS: Final = (
    "error", "message", "msg", "detail", "errors", "error_description", "error_msg", "status_msg", "base_resp",
)  # fmt: skip


def _words(error: Any, *, depth: int) -> Iterator[str]:
    if isinstance(error, str):
        if plain := text(error, MAX_WORDS):
            yield plain
    elif depth and isinstance(error, list):
        for inner in error[:3]:
            yield from _words(inner, depth=depth - 1)
    elif depth and isinstance(error, dict):
        # FastAPI names the field of the request that it refuses in `loc`.
        place = ".".join(str(part) for part in sequence(error.get("loc")) if part != "body")
        for name in _WORDS:
            for found in _words(error.get(name), depth=depth - 1):
                yield f"{place}: {found}" if place else found
        yield from _words(mapping(error.get("metadata")).get("raw"), depth=depth - 1)


def context_limit(said: str, body: bytes = b"") -> int | None:
    """Return the context (tokens) that a refusal names as the limit, or None.

    By the words of OpenAI, vLLM, SGLang, llama.cpp, llama-cpp-python, LM Studio, Text Generation Inference,
    Anthropic and Gemini; else by llama.cpp's `n_ctx`.
    """
    named = [int(found.replace(",", "")) for groups in _LIMITS.findall(said) for found in groups if found]
    if not named and b"exceed_context_size_error" in body:
        with suppress(ProviderError):
            named = [tokens(mapping(mapping(decoded(body)).get("error")).get("n_ctx")) or 0]
    # Of two figures the other one is what was asked for.
    limit = min(named, default=0)
    return limit if limit >= MIN_CONTEXT_TOKENS else None


def in_stream(error: Any) -> ProviderError:
    """Return the failure that an *error* in a stream means; it has no status but that in its own code."""
    fields = mapping(error)
    fields = mapping(fields.get("error")) or fields
    found = said(error) or "the stream failed without a reason"
    limit = context_limit(found)
    for name in ("code", "status", "status_code", "StatusCode", "type"):
        value = fields.get(name)
        status = _status(value)
        if status is not None:
            return ProviderError(outcome(status, found), found, context_tokens=limit)
    return ProviderError(_by_words(found), found, context_tokens=limit)


def _by_words(said: str) -> Outcome:
    if _RATE_LIMIT.search(said):
        return Outcome.RATE_LIMITED
    if _NO_PATH.search(said):
        return Outcome.NOT_FOUND
    return Outcome.NO_CREDIT if _NO_CREDIT.search(said) else Outcome.SERVER_ERROR


def _status(value: object) -> int | None:
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"[45]\d\d", value) else _BY_TYPE.get(value.lower())
    return value if isinstance(value, int) and 400 <= value < 600 else None
