"""Which webhooks an event is sent to. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from fnmatch import fnmatchcase

from vedette.messages.channels import PUBLIC_ANSWERS
from vedette.messages.events import AnswerChanged, Event, ModelEvent, ModelProbed, WebhookState
from vedette.settings import WEBHOOK_EVENTS, Webhook


def kind_of(event: Event) -> str | None:
    """Return the public name of *event*, or None if it is never sent."""
    if isinstance(event, ModelProbed):
        return "model.status" if _changes_status(event) else None
    kind = PUBLIC_ANSWERS.rstrip(".") if isinstance(event, AnswerChanged) else event.TYPE
    return kind if kind in WEBHOOK_EVENTS else None


def _changes_status(event: ModelProbed) -> bool:
    """Return whether this probe changed the status of the model. The first probe of a model is not a change."""
    first = len(event.health.outcomes) < 2 or event.renamed_from is not None
    return not first and event.health.since == event.sample.at


def chosen(
    event: Event, stored_at: datetime, webhooks: Iterable[Webhook], states: Mapping[str, WebhookState]
) -> Iterator[Webhook]:
    """Yield the *webhooks* that get *event*, which was stored at *stored_at*. *states* are by name of the webhook."""
    kind = kind_of(event)
    if kind is None:
        return
    for webhook in webhooks:
        state = states.get(webhook.name)
        if state is None or state.stopped_at is not None or stored_at < state.since:
            continue
        if webhook.enabled and kind in webhook.events and _passes(event, webhook):
            yield webhook


def _passes(event: Event, webhook: Webhook) -> bool:
    if isinstance(event, AnswerChanged):
        return _matches(event.use_case, webhook.use_cases)
    return not isinstance(event, ModelEvent) or _matches(str(event.model), webhook.models)


def _matches(name: str, globs: tuple[str, ...]) -> bool:
    return not globs or any(fnmatchcase(name, glob) for glob in globs)
