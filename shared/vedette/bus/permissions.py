"""The subjects that each NATS user may publish and receive: those of the contracts, and JetStream's own. Pure.

Users are one for each service, `operator` for the command line, and `agent`, which has an account of its own. No user
may publish the copies of events on `model.<event>` and `recommend.changed.<use case>`: only the broker makes them.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from vedette.messages.channels import (
    CHANNELS,
    DURABLES,
    PUBLIC_ANSWERS,
    PUBLIC_EVENTS,
    QUERIES,
)
from vedette.messages.consumers import Durable
from vedette.messages.declaring import SERVICES, Role

# What agents may query and receive. They send outcome reports to a recommender, and may not publish its event
# `report.<endpoint>.<name>`.
ASKED = ("recommend.>", "models.>", "endpoints.list", "history.>", "report.outcome")
FOLLOWED = (*PUBLIC_EVENTS, f"{PUBLIC_ANSWERS}*")
SERVICE_API = "$SRV.>"

# Streams in which a service may delete: the recorder old lost models, the console webhooks that are not configured,
# the discoverer endpoints that disappeared long ago.
_PURGED: dict[Role, tuple[str, ...]] = {
    "recorder": ("MODELS", "REPORTS"),
    "console": ("DELIVERIES", "WEBHOOKS"),
    "discoverer": ("APPEARED",),
}
# Durables that a service may read the state of: the prober sees whether a host is being measured.
_LOOKED_AT: dict[Role, tuple[str, ...]] = {"prober": ("JOBS.*",)}
_COPIES = (*PUBLIC_EVENTS, f"{PUBLIC_ANSWERS}>")
# A service may send any number of messages to a reply subject, for a minute: one reply subject may serve many queries.
_ANSWERS = {"max": -1, "expires": "1m"}

Permissions = dict[str, Any]


def of_service(role: Role) -> Permissions:
    """Return the permissions of the service *role*, in the form of a nats-server's configuration."""
    permissions: Permissions = {
        "publish": {
            "allow": sorted({*_said(role), *_jetstream(role)}),
            "deny": sorted({*_COPIES, *_of_others(role)}),
        },
        "subscribe": {"allow": [f"{inbox(role)}.>", *_received(role)]},
    }
    if asked := [one for one in QUERIES if role in (one.service, *one.beside)]:
        permissions["subscribe"]["allow"] += [one.subject for one in asked]
        if any(not one.beside for one in asked):
            permissions["subscribe"]["allow"].append(SERVICE_API)
        permissions["allow_responses"] = _ANSWERS
    return permissions


def of_operator() -> Permissions:
    """Return the permissions of the command line, which creates, restores and purges streams."""
    return {"publish": {"deny": [*_COPIES]}}


def of_agent() -> Permissions:
    """Return the permissions of agents in their own accounts."""
    return {
        "publish": {"allow": [*ASKED, SERVICE_API], "deny": [f"{PUBLIC_ANSWERS}>"]},
        "subscribe": {"allow": ["_INBOX.>", *FOLLOWED]},
    }


def inbox(role: str) -> str:
    """Return the prefix of the reply subjects of the service *role*. No other service may receive there."""
    return f"_INBOX.{role}"


def _said(role: Role) -> Iterator[str]:
    """Yield the subjects that *role* publishes: events, queries, and trial writes (`Publisher.keep_writing`)."""
    yield f"canary.{role}"
    yield from (query.subject for query in QUERIES if role in query.askers)
    for channel in CHANNELS:
        if role in channel.publishers:
            yield f"dead.{role}" if channel.stream == "DEAD" else channel.filter


def _received(role: Role) -> Iterator[str]:
    """Yield the subjects outside of streams that *role* receives by the contracts."""
    yield from (channel.filter for channel in CHANNELS if channel.stream is None and role in channel.others)


def _jetstream(role: Role) -> Iterator[str]:
    """Yield the requests with which *role* reads streams: states, ordered consumers, and its own durables."""
    yield f"$JS.API.STREAM.INFO.{compared(role)}"
    for stream in _streams(role):
        yield f"$JS.API.STREAM.INFO.{stream}"
        yield from _with_all_below(f"$JS.API.DIRECT.GET.{stream}")
    for stream in _followed(role):
        yield from _with_all_below(f"$JS.API.CONSUMER.CREATE.{stream}")
        yield f"$JS.API.CONSUMER.INFO.{stream}.*"
        yield f"$JS.API.CONSUMER.DELETE.{stream}.*"
        yield "$JS.FC.>"
    for durable in durables(role):
        yield from _uses(durable)
    for name in _LOOKED_AT.get(role, ()):
        yield f"$JS.API.CONSUMER.INFO.{name}"
    if role == "recorder":
        yield "$JS.API.STREAM.INFO.*"  # it measures how full each stream is
    for stream in _PURGED.get(role, ()):
        yield f"$JS.API.STREAM.PURGE.{stream}"


def _uses(durable: Durable) -> Iterator[str]:
    """Yield the requests that create, read and recreate *durable*."""
    name = f"{durable.stream}.{durable.name}"
    yield from _with_all_below(f"$JS.API.CONSUMER.CREATE.{name}")
    yield from (
        f"$JS.API.CONSUMER.{what}.{name}" for what in ("DURABLE.CREATE", "INFO", "MSG.NEXT", "DELETE")
    )
    yield f"$JS.ACK.{name}.>"
    yield f"$JS.ACK.*.*.{name}.>"


def _of_others(role: Role) -> Iterator[str]:
    """Yield requests on other services' durables that *role* would otherwise be allowed through its streams."""
    own = {(durable.stream, durable.name) for durable in durables(role)}
    wide = {*_followed(role), *(durable.stream for durable in durables(role) if durable.name == "*")}
    for durable in DURABLES:
        if durable.stream in wide and (durable.stream, durable.name) not in own:
            yield from _uses(durable)


def compared(name: str) -> str:
    """Return the stream whose info gives the service *name* (or another client) the time of the NATS server."""
    return "SCHEDULE" if name == "ticker" else "MODELS"


def _followed(role: Role) -> list[str]:
    """Return the streams that *role* follows completely, by its own ordered consumer."""
    return sorted({c.stream for c in CHANNELS if c.stream and role in c.followers})


def _streams(role: Role) -> Iterable[str]:
    named = {c.stream for c in CHANNELS if c.stream and role in (*c.publishers, *c.consumers)}
    return sorted(named - {"DEAD"})


def durables(role: Role) -> Iterator[Durable]:
    """Yield the durables of *role*.

    A name of `*` covers those named after hosts (benchmarker) or webhooks (console).
    """
    yield from (durable for durable in DURABLES if durable.service == role)
    if role == "benchmarker":
        yield Durable(stream="JOBS", name="*", filters=())
    if role == "console":
        yield Durable(stream="DELIVERIES", name="*", filters=())


def _with_all_below(subject: str) -> tuple[str, str]:
    return subject, f"{subject}.>"


def users() -> dict[str, Permissions]:
    """Return the permissions of every user of the services' account."""
    return {**{role: of_service(role) for role in SERVICES}, "operator": of_operator()}
