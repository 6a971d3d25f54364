"""Lenient reading of servers' data: a value with a wrong shape counts as unknown and raises nothing."""

import codecs
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from vedette.errors import ProviderError
from vedette.providers import Embedded, Listing, Tool
from vedette.providers.redaction import REDACTED
from vedette.types import Outcome

MAX_TEXT = 2048
MAX_NAME = 512
MAX_COUNT = 2**53  # JSON readers hold integers up to this exactly; the sum of a thousand fits 64 bits
MAX_TOKENS = 10**9  # of one reply or context; a larger count is an error of the server
MAX_NUMBER = 1e15
MAX_PLAIN = 60  # characters of plain words that are quoted
MAX_PLAIN_BYTES = 4 * MAX_PLAIN
MAX_TITLE_AT = 16 * 1024
_UTF16 = codecs.lookup("utf-16-le")
# Reasons for an answer that was cut off at its token limit: of Anthropic, Gemini, Mistral, the Responses API, Cohere,
# z.ai.
_AT_THE_LIMIT = frozenset(
    {
        "length", "max_tokens", "model_length", "max_output_tokens", "max_length", "max_new_tokens",
        "model_context_window_exceeded",
    }
)  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_EPOCH_S = 1e11  # the year 5138 in seconds; a larger number is in milliseconds or smaller units
_PARAMETERS = re.compile(r"([\d.]+)\s*([KMBT]|(?<=\d{7}))\Z")  # ollama.com writes 158000000000
_SCALE = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_DIGITS = re.compile(r"[0-9]{1,16}")
_NO_NAME = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_TITLE = re.compile(rb"<title[^>]*>([^<]{1,400})", re.IGNORECASE)
_HEADING = re.compile(
    rb"<(?:h1|message)\b[^>]*>([^<]{1,400})", re.IGNORECASE
)  # HAProxy's pages, S3's refusals
_IS_HTML = re.compile(
    rb"<(?:!doctype html|html|head|body|title|h1|a|p|div|script|meta|center)\b", re.IGNORECASE
)
HTML, XML = "an HTML page", "XML"


def decoded(raw: bytes, what: str = "the reply") -> Any:
    """Return the JSON in *raw*, the body of *what*; NaN and infinities become None.

    A byte-order mark is skipped, half of a surrogate pair becomes U+FFFD. Raises ProviderError (GARBAGE) that
    names an empty body, an HTML page with its title, and JSON that cannot be read.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = error
    begun = raw.removeprefix(codecs.BOM_UTF8).strip()
    if not begun:
        raise ProviderError(Outcome.GARBAGE, f"{what} is empty")
    if kind := markup(begun):
        title = html_title(begun)
        raise ProviderError(Outcome.GARBAGE, f"{what} is {kind}{f' titled {title!r}' if title else ''}")
    try:
        return _without_surrogates(json.loads(begun.decode(errors="replace"), parse_constant=lambda _: None))
    except (ValueError, RecursionError):
        raise ProviderError(Outcome.GARBAGE, f"{what} is not JSON ({problem})") from problem


def markup(body: bytes) -> str | None:
    """Return "an HTML page" or "XML" if *body* is markup, else None. XHTML counts as HTML."""
    begun = body.removeprefix(codecs.BOM_UTF8).lstrip()[:MAX_TITLE_AT]
    if begun[:1] != b"<":
        return None
    return HTML if _IS_HTML.search(begun) else XML


def plain_words(body: bytes) -> str | None:
    """Return the first 60 characters of *body* if it is plain text; None if it is JSON, markup or binary."""
    begun = body.removeprefix(codecs.BOM_UTF8).lstrip()[:MAX_PLAIN_BYTES]
    if not begun or begun[:1] in b'{["<' or any(byte < 9 for byte in begun):
        return None
    return text(begun.decode(errors="replace"), MAX_PLAIN)


def html_title(page: bytes) -> str | None:
    """Return the title of *page*, else its first heading or its XML `<message>`, at most 80 characters; else None."""
    begun = page[:MAX_TITLE_AT]
    found = _TITLE.search(begun) or _HEADING.search(begun)
    return text(found[1].decode(errors="replace"), 80) if found else None


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return (
            value
            if value.isprintable()
            else _UTF16.decode(_UTF16.encode(value, "surrogatepass")[0], "replace")[0]
        )
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(inner) for key, inner in value.items()}
    return [_without_surrogates(inner) for inner in value] if isinstance(value, list) else value


def text(value: object, most: int = MAX_TEXT) -> str | None:
    """Return *value* on one line, at most *most* characters, if it is a text and not empty; else None.

    Each control character becomes a space. If it were removed, two halves of a secret could join after redaction.
    """
    if not isinstance(value, str):
        return None
    begun = value.strip()[:most]  # fields that are left out cost no memory
    return "".join(c if c.isprintable() else " " for c in begun).strip() or None


def count(value: object) -> int | None:
    """Return *value* as an integer if it is a whole number from 0 to 2**53, else None.

    Some servers write `20.0` or `"20"`.
    """
    if isinstance(value, str):
        value = int(value) if _DIGITS.fullmatch(value) else None
    elif isinstance(value, float):
        value = int(value) if value.is_integer() and abs(value) <= MAX_COUNT else None
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_COUNT else None


def tokens(value: object) -> int | None:
    """Return *value* as an integer if it can be a number of tokens (0 to 10**9), else None."""
    counted = count(value)
    return counted if counted is not None and counted <= MAX_TOKENS else None


def number(value: object) -> float | None:
    """Return *value* as a float if it is a number from 0 to 10**15, else None."""
    found = score(value)
    return found if found is not None and found >= 0 else None


def score(value: object) -> float | None:
    """Return *value* as a float if it is a number from -10**15 to 10**15, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Compared before conversion: an integer may be too large for a float. NaN fails the comparison.
    return float(value) if -MAX_NUMBER <= value <= MAX_NUMBER else None


def embedded(
    values: Sequence[object],
    texts: Sequence[str],
    *,
    sent_at: float,
    done_at: float,
    prompt_tokens: int | None = None,
    load_ms: float | None = None,
) -> Embedded:
    """Return the result of embedding *texts*. *values* must hold one vector of finite numbers for each text.

    *sent_at* and *done_at* are monotonic seconds. Raises ProviderError (GARBAGE) if vectors are missing, are empty,
    hold a value that is not a number, or differ in length.
    """
    vectors = [sequence(vector) for vector in values]
    if len(vectors) != len(texts) or not all(vectors):
        raise ProviderError(Outcome.GARBAGE, f"{len(texts)} texts gave {len(vectors)} vectors")
    if any(score(value) is None for vector in vectors for value in vector):
        raise ProviderError(Outcome.GARBAGE, "a vector contains a value that is not a number")
    if len({len(vector) for vector in vectors}) > 1:
        raise ProviderError(Outcome.GARBAGE, "the vectors differ in length")
    return Embedded(
        sent_at=sent_at,
        done_at=done_at,
        vectors=len(vectors),
        dimensions=len(vectors[0]),
        values=vectors,
        prompt_tokens=prompt_tokens,
        load_ms=load_ms,
    )


def end_reason(value: object) -> str | None:
    """Return why an answer ended; None if it has not ended. All words for the token limit become `length`.

    KoboldCpp, SGLang and Ollama write `"null"` or `""` while the answer goes on. SGLang writes an object with a
    `type`.
    """
    reason = text(mapping(value).get("type") if isinstance(value, dict) else value, 64)
    if reason is None or reason.lower() == "null":
        return None
    return "length" if reason.lower() in _AT_THE_LIMIT else reason


def mapping(value: object) -> Mapping[str, Any]:
    """Return *value* if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: object) -> list[Any]:
    """Return *value* if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def moment(value: object) -> datetime | None:
    """Return *value* in UTC if it is an RFC 3339 time, else None. A time without a zone (Python servers) is UTC.

    None also for years before 1970: Go writes the year 1 for a time that is not set.
    """
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value.strip().upper().removesuffix("UTC").rstrip())
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return at if at.year >= _EPOCH.year else None


def http_date(value: object) -> datetime | None:
    """Return *value* in UTC if it is a date in the form of HTTP headers, else None."""
    if not isinstance(value, str):
        return None
    try:
        at = parsedate_to_datetime(value)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def since_epoch(stamp: float) -> datetime | None:
    """Return the time of *stamp* after 1970; None if it is not positive.

    *stamp* is in seconds, milliseconds, microseconds or nanoseconds; its size decides.
    """
    while stamp > _MAX_EPOCH_S:
        stamp /= 1000
    return _EPOCH + timedelta(seconds=stamp) if stamp > 0 else None


def decimal(digits: str) -> float | None:
    """Return the number in the text *digits* if it is finite, else None."""
    try:
        value = float(digits)
    except ValueError:  # 1.2.3, or only a point
        return None
    return value if math.isfinite(value) else None


def parameter_count(size: object) -> int | None:
    """Return the number of parameters in the text *size*, such as `361.82 M`; None if it is not one."""
    match = _PARAMETERS.match(size.strip().upper()) if isinstance(size, str) else None
    written = decimal(match[1]) if match else None
    counted = None if match is None or written is None else number(written * _SCALE.get(match[2], 1))
    return None if counted is None else round(counted)


def known(**facts: object) -> dict[str, Any]:
    """Return the facts that are not None."""
    return {name: fact for name, fact in facts.items() if fact is not None}


def rate(amount: object, duration_ns: object) -> float | None:
    """Return *amount* per second from a duration in nanoseconds; None if either is missing or zero."""
    n, ns = number(amount), number(duration_ns)
    return number(n / (ns / 1e9)) if n and ns and ns >= 1 else None


def milliseconds(duration_ns: object) -> float | None:
    """Return *duration_ns* (nanoseconds) in milliseconds; None if it is not a number."""
    ns = number(duration_ns)
    return None if ns is None else ns / 1e6


def listings(entries: Iterable[Listing]) -> Iterator[Listing]:
    """Yield *entries* with a valid name, the first of each name. Entries with a redacted name are all yielded."""
    seen: set[str] = set()
    for entry in entries:
        if is_name(entry.name) and (entry.name not in seen or REDACTED in entry.name):
            seen.add(entry.name)
            yield entry


def tool_object(tool: Tool) -> dict[str, Any]:
    """Return *tool* in the form of OpenAI's and Ollama's requests."""
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def is_name(value: object) -> bool:
    """Return whether *value* can be a model's name: text of 1 to 512 characters without control characters."""
    return isinstance(value, str) and 0 < len(value) <= MAX_NAME and _NO_NAME.search(value) is None
