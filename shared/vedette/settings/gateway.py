"""`[gateway]`: the OpenAI-compatible API, and who may call it."""

import hashlib
import re
from collections.abc import Iterator
from typing import Annotated, Final

from msgspec import Meta

from vedette.settings.section import Problem, Seconds, Section

GATEWAY_PORT: Final = 7718
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_OF_NOTHING: Final = hashlib.sha256(b"").hexdigest()
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+\Z")
_KEY_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")


class CallerKey(Section, frozen=True, kw_only=True):
    """The SHA-256 of the key of one caller, and the caller's limits for a day (UTC). An omitted limit means unlimited.

    `use_cases` limits the caller to the virtual models of these use cases. Empty: every model.
    """

    sha256: str
    use_cases: tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...] = ()
    requests_per_minute: Annotated[int, Meta(ge=1)] | None = None
    requests_per_day: Annotated[int, Meta(ge=0)] | None = None
    tokens_per_day: Annotated[int, Meta(ge=0)] | None = None
    usd_per_day: Annotated[float, Meta(ge=0)] | None = None

    def check(self) -> Iterator[Problem]:
        """Yield a problem if the digest is not a SHA-256."""
        if not _SHA256.match(self.sha256):
            yield (
                "sha256",
                "is not a SHA-256 in lower-case hex; `vedette gateway key NAME` makes a key and prints it",
            )
        if self.sha256 == _OF_NOTHING:
            yield "sha256", "is that of an empty key; `vedette gateway key NAME` makes a key and prints it"


class Gateway(Section, frozen=True, kw_only=True):
    """The OpenAI-compatible API. On loopback, callers need no key unless `keys` is set; elsewhere they need one.

    The default of `port` is 7718, or a free one if that is taken. If an endpoint has no room for a request (`at_once`),
    the request goes to the next model, or waits `queue_s`. A model that has not started its reply within `first_byte_s`
    is replaced by the next one. The last model has `timeout_s`, and so has each complete reply. A stream ends if
    nothing arrives for `stall_s`, or if its caller reads nothing for that time. Web pages of `origins` may call the
    API. At its end, replies in progress have `closing_s`: 30, with `vedette up` 3.
    """

    enabled: bool = False
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] | None = None
    keys: dict[str, CallerKey] = {}
    origins: tuple[str, ...] = ()
    at_once: Annotated[int, Meta(ge=1, le=10_000)] = 64
    attempts: Annotated[int, Meta(ge=1, le=10)] = 4
    queue_s: Annotated[float, Meta(ge=0)] = 5.0
    first_byte_s: Seconds = 30.0
    stall_s: Seconds = 120.0
    timeout_s: Seconds = 600.0
    closing_s: Annotated[int, Meta(ge=0, le=3600)] | None = None
    max_body_bytes: Annotated[int, Meta(ge=1024)] = 32 * 1024 * 1024

    def check(self) -> Iterator[Problem]:
        """Yield invalid origins, key names that are not allowed, and keys with several names."""
        for origin in self.origins:
            if not _ORIGIN.match(origin):
                yield (
                    "origins",
                    f'"{origin}" is not an origin, such as "https://chat.example.com" without a path',
                )
        first: dict[str, str] = {}
        for name, key in self.keys.items():
            if not _KEY_NAME.match(name):
                yield f"keys.{name}", "a key's name is lower-case letters, digits and hyphens, at most 63"
            if (other := first.setdefault(key.sha256, name)) != name:
                yield f"keys.{name}.sha256", f"is the key of {other}; give each caller its own"
