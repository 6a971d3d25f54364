"""Findings of `doctor`, with remedies. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from vedette.cli.listing import refused_names
from vedette.messages.events import WebhookState
from vedette.messages.queries import EndpointView, ModelView
from vedette.remedies import remedy_for
from vedette.runtime import telemetry
from vedette.text.shown import shown_name
from vedette.types import Outcome

# Outcomes of models refused for the account. The listing of the endpoint may succeed nevertheless.
_OF_THE_ACCOUNT = frozenset({Outcome.NO_CREDIT, Outcome.FORBIDDEN, Outcome.QUOTA_USED, Outcome.AUTH_FAILED})


class Finding(Struct, frozen=True, kw_only=True):
    """The result of one check: whether it passed, what it found, and the remedy."""

    what: str
    ok: bool
    seen: str
    remedy: str = ""


def pause(view: EndpointView) -> Finding | None:
    """Return a finding if the endpoint is paused, else None. A pause is intended, so it is no fault."""
    if view.origin is None or view.origin.paused is None:
        return None
    return Finding(
        what=f"pause of {view.endpoint}",
        ok=True,
        seen=f"{view.origin.paused.in_words} (no measurements, no recommendations)",
        remedy=f"vedette endpoints resume {view.endpoint}",
    )


def refusal(view: EndpointView) -> Finding | None:
    """Return a finding if new names of an endpoint are refused, else None."""
    if view.state is None or view.state.intake is None or not view.state.intake.refused:
        return None
    seen, _, remedy = refused_names(view.state.intake).partition("; ")
    return Finding(what=f"new models of {view.endpoint}", ok=False, seen=seen, remedy=remedy)


def refused_models(models: Sequence[ModelView]) -> Iterator[Finding]:
    """Yield one finding for each endpoint and reason whose models the service refuses for the account.

    The last probe of a model shows it, or its last measurement if no probe was answered since.
    """
    refused: dict[tuple[str, Outcome], list[tuple[ModelView, str]]] = {}
    for model in models:
        if said := _refusal_of_account(model):
            outcome, words = said
            refused.setdefault((model.model.endpoint, outcome), []).append((model, words))
    for (endpoint, outcome), those in refused.items():
        first, words = those[0]
        more = f" and {len(those) - 1} more" if len(those) > 1 else ""
        yield Finding(
            what=f"models of {endpoint}",
            ok=False,
            seen=f"{shown_name(first.model)}{more}: {words}",
            remedy=remedy_for(outcome, words),
        )


def _refusal_of_account(model: ModelView) -> tuple[Outcome, str] | None:
    """Return the outcome and the words with which the service refuses *model* for the account, or None."""
    probed, call = model.availability, model.last_call
    last = probed.last if probed else None
    if last and last.cause == "model" and last.outcome in _OF_THE_ACCOUNT:
        return last.outcome, last.detail or last.outcome
    answered_at = probed.answered_at if probed else None
    if call is None or call.outcome not in _OF_THE_ACCOUNT or (answered_at and answered_at > call.at):
        return None
    return call.outcome, f"{call.detail or call.outcome} ({call.purpose} of {call.at:%Y-%m-%d %H:%M}Z)"


def services(readiness: telemetry.Readiness) -> Iterator[Finding]:
    """Yield whether each service is ready, and its notes."""
    if readiness.problems:
        seen = _by_what_they_say(readiness.problems)
        yield Finding(what="services", ok=False, seen=seen, remedy="see the log of Vedette")
    else:
        yield Finding(what="services", ok=True, seen="all ready")
    notes = dict(readiness.notes)
    if said := notes.pop("configuration", None):
        yield Finding(
            what="configuration in force",
            ok=False,
            seen=f"is older than the file: {said}",
            remedy="correct the file (Vedette then reloads it), or restart Vedette",
        )
    if said := notes.pop("permissions", None):
        yield Finding(
            what="permissions on NATS",
            ok=False,
            seen=said,
            remedy="give the server the accounts of this version (vedette contracts --accounts), and restart Vedette",
        )
    if notes:
        yield Finding(what="note", ok=True, seen=_by_what_they_say(notes))


def _by_what_they_say(problems: Mapping[str, str]) -> str:
    """Return the services grouped by their message: services that wait for the same thing share a message."""
    by_problem: dict[str, list[str]] = {}
    for service, problem in problems.items():
        by_problem.setdefault(problem, []).append(service)
    return "; ".join(f"{', '.join(services)}: {problem}" for problem, services in by_problem.items())


def webhook_finding(state: WebhookState) -> Finding:
    """Return a finding with the state of a webhook, and the remedy."""
    what = f"webhook {state.webhook}"
    if state.stopped_at is not None:
        seen = f"{state.receiver} replied 410 Gone at {state.stopped_at:%Y-%m-%d %H:%M}Z; nothing is sent"
        return Finding(what=what, ok=False, seen=seen, remedy="change or remove its [[webhooks]] table")
    if state.failing_since is not None:
        seen = f"{state.receiver} fails since {state.failing_since:%Y-%m-%d %H:%M}Z: {state.problem}"
        remedy = f"correct the receiver, or its url; then vedette webhooks test {state.webhook}"
        return Finding(what=what, ok=False, seen=seen, remedy=remedy)
    last = (
        f"took an event at {state.delivered_at:%Y-%m-%d %H:%M}Z" if state.delivered_at else "got no event yet"
    )
    return Finding(what=what, ok=True, seen=f"{state.receiver} {last}")
