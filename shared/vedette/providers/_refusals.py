"""What a server's refusal says: its own words, and the outcome that they and the status mean. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from vedette.errors import ProviderError
from vedette.providers._lenient import decoded, html_title, mapping, sequence, text
from vedette.types import Outcome

MAX_WORDS: Final = 300  # characters
_BY_STATUS: Final[Mapping[int, Outcome]] = {
    400: Outcome.BAD_REQUEST,
    401: Outcome.AUTH_FAILED,
    402: Outcome.AUTH_FAILED,  # no credit left with this key
    403: Outcome.AUTH_FAILED,
    404: Outcome.NOT_FOUND,
    408: Outcome.TIMEOUT,
    429: Outcome.RATE_LIMITED,
    501: Outcome.UNSUPPORTED,
    503: Outcome.BUSY,
    504: Outcome.TIMEOUT,
    529: Outcome.BUSY,  # Anthropic's "overloaded"
}
# Names that APIs give to kinds of errors, where a stream has no status: OpenAI's, Anthropic's and Google's.
_BY_TYPE: Final[Mapping[str, Outcome]] = {
    "rate_limit_error": Outcome.RATE_LIMITED,
    "rate_limit_exceeded": Outcome.RATE_LIMITED,
    "resource_exhausted": Outcome.RATE_LIMITED,
    "insufficient_quota": Outcome.AUTH_FAILED,
    "billing_error": Outcome.AUTH_FAILED,
    "authentication_error": Outcome.AUTH_FAILED,
    "permission_error": Outcome.AUTH_FAILED,
    "invalid_api_key": Outcome.AUTH_FAILED,
    "not_found_error": Outcome.NOT_FOUND,
    "model_not_found": Outcome.NOT_FOUND,
    "invalid_request_error": Outcome.BAD_REQUEST,
    "overloaded_error": Outcome.BUSY,
    "unavailable": Outcome.BUSY,
    "insufficient_system_resource": Outcome.BUSY,
    "timeout_error": Outcome.TIMEOUT,
    "deadline_exceeded": Outcome.TIMEOUT,
}
# Reasons why a stream ended that name a failure and no end of an answer (OpenRouter, z.ai, DeepSeek, vLLM).
FAILED_REASONS: Final = frozenset(
    {"error", "network_error", "insufficient_system_resource", "failed", "abort"}
)


def outcome(status: int, said: str) -> Outcome:
    """Return the outcome of a reply with *status* whose words are *said*."""
    if status == 503 and "loading" in said.lower():
        return Outcome.LOADING
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return Outcome.SERVER_ERROR if status >= 500 else Outcome.BAD_REQUEST


def words(body: bytes) -> str:
    """Return an error body's own words: of an object, of plain text, or the title of an HTML page."""
    try:
        told = decoded(body)
    except ProviderError:
        if body.lstrip()[:1] == b"<":
            return html_title(body) or ""
        return text(body.decode("utf-8", "replace"), MAX_WORDS) or ""
    return said(told)


def said(error: Any) -> str:
    """Return the words of a decoded error, each once: `message`, `detail`, `errors`, and what an upstream said."""
    return text("; ".join(dict.fromkeys(_words(error, depth=4))), MAX_WORDS) or ""


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
        for name in ("error", "message", "msg", "detail", "errors", "error_description"):
            for found in _words(error.get(name), depth=depth - 1):
                yield f"{place}: {found}" if place else found
        yield from _words(mapping(error.get("metadata")).get("raw"), depth=depth - 1)


def in_stream(error: Any) -> ProviderError:
    """Return the failure that an *error* in a stream means; it has no status but that in its own code."""
    told = mapping(error)
    told = mapping(told.get("error")) or told
    found = said(error) or "the stream failed without a reason"
    for name in ("code", "status", "status_code", "type"):
        value = told.get(name)
        status = _status(value)
        if status is not None:
            return ProviderError(outcome(status, found), found)
        if isinstance(value, str) and value.lower() in _BY_TYPE:
            return ProviderError(_BY_TYPE[value.lower()], found)
    return ProviderError(Outcome.SERVER_ERROR, found)


def _status(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[45]\d\d", value):
        return int(value)
    return value if isinstance(value, int) and 400 <= value < 600 else None
