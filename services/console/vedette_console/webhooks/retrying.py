"""The result of an attempt to deliver, the time of the next one, and the new state of the webhook. Pure."""

from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from vedette.errors import ProviderError
from vedette.messages import ids
from vedette.messages.events import WebhookState
from vedette.providers.addresses import origin
from vedette.providers.posting import Reply
from vedette.settings import Webhook

RETRIED_FOR_S: Final = 24 * 3600.0
_MIN_ATTEMPTS: Final = 5  # even if the event is older than that
_FIRST_S, _FACTOR, _MAX_S = 5.0, 3.0, 1800.0
_JITTER: Final = 0.25
_MAX_PAUSE_S: Final = 60.0
_GONE: Final = 410


class Attempt(Struct, frozen=True, kw_only=True):
    """The result of an attempt: delivered if there is no *problem*. *gone*: the receiver wants no more events."""

    problem: str | None = None
    gone: bool = False
    retry_after_s: float | None = None


def judged(reply: Reply) -> Attempt:
    """Return the result of *reply*: 2xx is delivered, anything else is not. A redirect is not followed."""
    if 200 <= reply.status < 300:
        return Attempt()
    said = f": {reply.body}" if reply.body else ""
    if 300 <= reply.status < 400:
        said = ": it redirects, which Vedette does not follow; set url to the target of the redirect"
    return Attempt(
        problem=f"HTTP {reply.status}{said}", gone=reply.status == _GONE, retry_after_s=reply.retry_after_s
    )


def failed(error: ProviderError) -> Attempt:
    """Return the result of *error*: there was no reply."""
    return Attempt(problem=str(error), retry_after_s=error.retry_after_s)


def delay_s(attempts: int, age_s: float, retry_after_s: float | None, draw: float) -> float | None:
    """Return the seconds to wait after *attempts*, or None if an event that is *age_s* old becomes a dead letter.

    The first wait is 5 s. Each further wait is three times as long, at most half an hour, plus or minus 25 % by *draw*
    (0 to 1), and at least *retry_after_s*. Retries end after a day, but not before five attempts.
    """
    backoff = min(_MAX_S, _FIRST_S * _FACTOR ** min(attempts - 1, 10)) * (1 + _JITTER * (2 * draw - 1))
    wait_s = max(backoff, retry_after_s or 0.0)
    over = age_s + wait_s > RETRIED_FOR_S and attempts >= _MIN_ATTEMPTS
    return None if over else wait_s


def pause_s(failures: int, retry_after_s: float | None) -> float:
    """Return the seconds without sending after *failures* in a row: 1, 2, 4 … 60, or *retry_after_s* if longer."""
    if failures == 0:
        return 0.0
    return max(min(_MAX_PAUSE_S, 2.0 ** min(failures - 1, 6)), retry_after_s or 0.0)


def registered(webhook: Webhook, url: str, before: WebhookState | None, now: datetime) -> WebhookState | None:
    """Return the state of *webhook* as it is configured now, or None if the configuration did not change.

    A new webhook gets events from *now* on, and so does a changed one whose receiver was gone.
    """
    receiver = origin(url)  # the rest may be a secret
    if before is not None and before.fingerprint == webhook.fingerprint and before.receiver == receiver:
        return None
    goes_on = before is not None and before.stopped_at is None
    return WebhookState(
        id=ids.derive(now, "webhook", webhook.name, webhook.fingerprint),
        at=now,
        webhook=webhook.name,
        fingerprint=webhook.fingerprint,
        enabled=webhook.enabled,
        receiver=receiver,
        events=webhook.events,
        since=before.since if before is not None and goes_on else now,
        delivered_at=before.delivered_at if before is not None else None,
    )


class Tally(Struct, frozen=True, kw_only=True):
    """The results of one console for a webhook since it last published."""

    delivered_at: datetime | None = None
    failed_at: datetime | None = None
    first_failed_at: datetime | None = None  # after the last delivery
    problem: str | None = None

    def delivered(self, at: datetime) -> "Tally":
        """Return this tally with a delivery *at* that time."""
        return msgspec.structs.replace(self, delivered_at=at, first_failed_at=None)

    def failed(self, at: datetime, problem: str) -> "Tally":
        """Return this tally with a failure *at* that time."""
        first = self.first_failed_at or at
        return msgspec.structs.replace(self, failed_at=at, first_failed_at=first, problem=problem)


def folded(state: WebhookState, tally: Tally, now: datetime) -> WebhookState:
    """Return *state* with the results of *tally* of one console. Other consoles add their own."""
    delivered_at = _later(state.delivered_at, tally.delivered_at)
    failed_at = _later(state.failed_at, tally.failed_at)
    failing = failed_at is not None and (delivered_at is None or failed_at > delivered_at)
    went_on = tally.delivered_at is None
    since = state.failing_since if went_on and state.failing_since else tally.first_failed_at
    return msgspec.structs.replace(
        state,
        id=ids.derive(now, "webhook", state.webhook, str(delivered_at), str(failed_at)),
        at=now,
        delivered_at=delivered_at,
        failed_at=failed_at,
        failing_since=(since or failed_at) if failing else None,
        problem=(tally.problem or state.problem) if failing else None,
    )


def stopped(state: WebhookState, problem: str, now: datetime) -> WebhookState:
    """Return *state* of a webhook whose receiver is gone."""
    return msgspec.structs.replace(
        state,
        id=ids.derive(now, "webhook", state.webhook, "stopped"),
        at=now,
        failed_at=now,
        failing_since=state.failing_since or now,
        problem=problem,
        stopped_at=now,
    )


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((moment for moment in (one, other) if moment is not None), default=None)
