"""The result of a contact with an endpoint, and when the next contact may follow. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from vedette.endpoints.budget import charge
from vedette.messages.tolerance import is_future
from vedette.providers import Listing, Server
from vedette.settings import EndpointSettings
from vedette.types import EndpointState, Exchange, Listed, Outcome, Use

# A refused key stays refused. New configuration ends the pause at once (see `pause`).
_AUTH_PAUSE = timedelta(hours=1)
_RATE_PAUSE = timedelta(minutes=1)  # for a 429 without Retry-After
_MAX_PAUSE = timedelta(hours=24)  # an absurd Retry-After must not silence an endpoint permanently
_MAX_DETAIL = 500


class Contact(Struct, frozen=True, kw_only=True):
    """One contact: its outcome, its duration, and the listing if one was requested and received."""

    outcome: Outcome
    latency_ms: float
    detail: str | None = None
    remedy: str | None = None  # the end of the detail, if it is a remedy
    server: Server | None = None
    listing: list[Listing] | None = None
    retry_after_s: float | None = None
    exchange: Exchange | None = None
    use: Use = Use()


def pause(state: EndpointState | None, endpoint: EndpointSettings, now: datetime) -> str | None:
    """Return why *endpoint* is not contacted at *now*, or None.

    New configuration ends every pause. A pause with a date from a wrong clock is ignored.
    """
    if (
        state is None
        or state.paused_until is None
        or state.paused_until <= now
        or is_future(state.checked_at, now)
    ):
        return None
    return state.paused_reason if state.fingerprint == endpoint.fingerprint else None


def after(
    previous: EndpointState | None,
    *,
    endpoint: EndpointSettings,
    contact: Contact,
    now: datetime,
    purpose: str,
) -> EndpointState:
    """Return an endpoint's state after *contact* for *purpose*, without counting missing models (`count_misses`)."""
    ok = contact.outcome is Outcome.OK
    base = previous or EndpointState(
        url=endpoint.url, provider=endpoint.provider, fingerprint="", checked_at=now, outcome=contact.outcome
    )
    until, reason = _pause_after(contact, now)
    server = contact.server or Server(product=base.server, version=base.server_version)
    return msgspec.structs.replace(
        base,
        url=endpoint.url,
        provider=endpoint.provider,
        fingerprint=endpoint.fingerprint,
        checked_at=now,
        outcome=contact.outcome,
        latency_ms=contact.latency_ms,
        detail=contact.detail[:_MAX_DETAIL] if contact.detail else None,
        remedy=contact.remedy,
        exchange=contact.exchange,
        server=server.product,
        server_version=server.version,
        failing_since=None if ok else min(base.failing_since or now, now),
        paused_until=until,
        paused_reason=reason,
        ledger=charge(base.ledger, purpose, contact.use, now),
    )


def _pause_after(contact: Contact, now: datetime) -> tuple[datetime | None, str | None]:
    if contact.outcome is Outcome.AUTH_FAILED:
        return now + _AUTH_PAUSE, "the endpoint refuses the configured credentials"
    asked = min(timedelta(seconds=contact.retry_after_s), _MAX_PAUSE) if contact.retry_after_s else None
    if contact.outcome is Outcome.NO_CREDIT:
        return now + (asked or _AUTH_PAUSE), "the account at the endpoint has no credit left"
    if contact.outcome is Outcome.RATE_LIMITED:
        return now + (asked or _RATE_PAUSE), "the endpoint asked for a pause (429)"
    return None, None


def count_misses(
    previous: Sequence[Listed], listing: Iterable[Listing], present: Iterable[str]
) -> tuple[Listed, ...]:
    """Return the listing with the number of misses in a row of each absent model. *present* are the catalogue's models.

    A model that is neither listed nor present is dropped.
    """
    now_listed = {listing.name: Listed(name=listing.name, digest=listing.digest) for listing in listing}
    before = {entry.name: entry for entry in previous}
    absent = [
        msgspec.structs.replace(before.get(name, Listed(name=name)), misses=_misses(before, name) + 1)
        for name in sorted(set(present) - now_listed.keys())
    ]
    return (*sorted(now_listed.values(), key=lambda entry: entry.name), *absent)


def _misses(before: dict[str, Listed], name: str) -> int:
    return before[name].misses if name in before else 0
