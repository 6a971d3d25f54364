"""`[[webhooks]]`: which events are sent to which URL, and the secrets that sign them."""

import difflib
import hashlib
import re
from collections.abc import Iterator
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from vedette.providers.addresses import malformed
from vedette.settings.section import Problem, Secret, Section

WEBHOOK_EVENTS: Final = (
    "model.found",
    "model.changed",
    "model.lost",
    "model.regressed",
    "model.status",
    "recommend.changed",
)
"""The events that a webhook can receive, by public name; `model.status` is a probe that changed the status."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
_MAX_SECRETS: Final = 5
Glob = Annotated[str, Meta(min_length=1, max_length=1024)]


class Webhook(Section, frozen=True, kw_only=True):
    """A receiver of events. With several secrets, each one signs, so that a receiver can change from one to the next.

    `models` (`gpu/*`) limits events of models, `use_cases` limits winner changes. Without them, all are sent.
    """

    name: str
    url: str | Secret
    secret: Secret | tuple[Secret, ...]
    events: tuple[str, ...] = WEBHOOK_EVENTS
    models: tuple[Glob, ...] = ()
    use_cases: tuple[Glob, ...] = ()
    ca_file: str | None = None
    enabled: bool = True

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Its secrets, the newest first."""
        return self.secret if isinstance(self.secret, tuple) else (self.secret,)

    @property
    def fingerprint(self) -> str:
        """A short digest of all its settings; of secrets, only the references."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]

    def check(self) -> Iterator[Problem]:
        """Yield problems of the name, the URL, the events, and the number of secrets."""
        if not _NAME.match(self.name):
            yield "name", f"{self.name!r}: a name is lower-case letters, digits and hyphens, at most 63"
        if isinstance(self.url, str) and (problem := wrong_with(self.url)):
            yield "url", problem
        if not 1 <= len(self.secrets) <= _MAX_SECRETS:
            yield "secret", f"needs one secret, or a list of at most {_MAX_SECRETS}"
        if not self.events:
            yield "events", "names no event; leave the key out to send all events"
        for event in self.events:
            if event not in WEBHOOK_EVENTS:
                near = difflib.get_close_matches(event, WEBHOOK_EVENTS, n=1)
                hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(WEBHOOK_EVENTS)}"
                yield "events", f"{event!r} is not sent; {hint}"


def wrong_with(url: str) -> str | None:
    """Return why *url* cannot be the URL of a webhook, or None.

    The text does not quote it, because it may hold a secret.
    """
    if problem := malformed(url):
        return problem
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return 'is not an http or https URL; example: "https://ops.example.com/vedette"'
    if parts.username or parts.password:
        return "contains a login, which Vedette does not send; its signature identifies it"
    if parts.fragment:
        return "has a fragment (#…), which is never sent; leave it out"
    return None
