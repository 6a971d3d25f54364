"""`webhooks list` and `webhooks test`: the state of sending, and whether a receiver accepts a signed event."""

from contextlib import aclosing
from datetime import datetime
from typing import Annotated, Literal

import nats.js.errors
from cyclopts import Parameter
from msgspec import Struct
from msgspec.structs import replace

from vedette import log
from vedette.bus.bus import Bus
from vedette.bus.connection import connect
from vedette.cli import options
from vedette.cli.fitting import Column
from vedette.cli.output import complain, document, say, sheet
from vedette.clock import SystemClock
from vedette.errors import NotRunning, ProviderError, RequestError
from vedette.messages import ids
from vedette.messages.consumers import deliveries
from vedette.messages.events import WebhookState
from vedette.providers.addresses import origin
from vedette.runtime.loop import run
from vedette.settings import Settings, Webhook
from vedette.text.figures import number
from vedette_console.webhooks.retrying import judged
from vedette_console.webhooks.running import STREAM
from vedette_console.webhooks.sending import Payload, Sender, target

Standing = Literal["delivering", "failing", "stopped", "disabled", "waiting"]
TEST: Literal["webhook.test"] = "webhook.test"


class Listed(Struct, frozen=True, kw_only=True):
    """A webhook in the list. `pending` events wait to be sent."""

    name: str
    state: Standing
    receiver: str
    events: tuple[str, ...]
    since: datetime
    delivered_at: datetime | None
    failing_since: datetime | None
    problem: str | None
    pending: int


def list_(*, json: options.Json = False, where: options.Instance = options.HERE) -> int:
    """List the webhooks of the Vedette that runs: how sending goes, and how many events wait."""
    return run(_list(json, where))


async def _list(as_json: bool, where: options.Instance) -> int:
    async with connect(where.operator(), name="vedette-operator") as connection:
        bus = Bus(connection, name="operator", clock=SystemClock(), log=log.logger("operator"))
        listed = sorted([await _listed(bus, state) for state in await _states(bus)], key=lambda one: one.name)
    if as_json:
        document({"webhooks": listed})
    elif not listed:
        say("no webhooks; add one as [[webhooks]] to the configuration (docs/webhooks.md)")
    else:
        sheet(_COLUMNS, [_row(one) for one in listed])
    return 0


async def _states(bus: Bus) -> list[WebhookState]:
    try:
        held = bus.streams.last_of_each(STREAM, ["webhook.*"], {})
        return [event async for _, event in held if isinstance(event, WebhookState)]
    except TimeoutError as error:
        problem = f"the stream {STREAM} cannot be read; run vedette provision"
        raise RequestError(code="unavailable", message=problem) from error


async def _listed(bus: Bus, state: WebhookState) -> Listed:
    durable, pending = deliveries(state.webhook), 0
    try:
        info = await bus.js.consumer_info(durable.stream, durable.name)
        pending = (info.num_pending or 0) + (info.num_ack_pending or 0)
    except nats.js.errors.NotFoundError:
        pass  # the webhook was never enabled
    return Listed(
        name=state.webhook,
        state=standing(state),
        receiver=state.receiver,
        events=state.events,
        since=state.since,
        delivered_at=state.delivered_at,
        failing_since=state.failing_since,
        problem=state.problem,
        pending=pending,
    )


def standing(state: WebhookState) -> Standing:
    """Return the state of sending in one word; `waiting`: no delivery was tried yet."""
    if not state.enabled:
        return "disabled"
    if state.stopped_at is not None:
        return "stopped"
    if state.failing_since is not None:
        return "failing"
    return "delivering" if state.delivered_at is not None else "waiting"


_COLUMNS = (
    Column("webhook", 0, "name"),
    Column("state"),
    Column("pending", 1, "number"),
    Column("delivered (UTC)", 2),
    Column("failing since", 3),
    Column("receiver", 4, "name"),
    Column("problem", 1),
)


def _row(one: Listed) -> tuple[str, ...]:
    return (
        one.name,
        one.state,
        number(one.pending),
        _moment(one.delivered_at),
        _moment(one.failing_since),
        one.receiver,
        one.problem or "-",
    )


def _moment(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M:%S}"


class Tested(Struct, frozen=True, kw_only=True):
    """The result of a test. `status` and `reply` are the receiver's, if it replied."""

    webhook: str
    receiver: str
    id: str
    ok: bool
    status: int | None = None
    reply: str = ""
    problem: str | None = None


def send_test(
    name: Annotated[str, Parameter(help="Name of the webhook.")],
    /,
    *,
    config: options.Config = None,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Send a signed test event to the webhook NAME from this machine, and print the reply.

    It is not queued and not retried. Exit code 1 when the receiver did not take it.
    """
    settings = (None if config else _running(where)) or options.settings(config)
    tested = run(_test(_named(settings, name), settings))
    if json:
        document(tested)
    else:
        say(f"sent      {TEST} {tested.id} to {tested.receiver}")
        if tested.status is not None:
            say(f"reply     HTTP {tested.status}{f': {tested.reply}' if tested.reply else ''}")
        if tested.problem:
            complain(tested.problem)
    return 0 if tested.ok else 1


def _running(where: options.Instance) -> Settings | None:
    try:
        return where.configuration()
    except NotRunning:
        return None


def _named(settings: Settings, name: str) -> Webhook:
    found = next((one for one in settings.webhooks if one.name == name), None)
    if found is None:
        known = ", ".join(one.name for one in settings.webhooks) or "none is configured"
        problem = f"{name!r} is no webhook; known: {known}"
        raise RequestError(code="unknown_webhook", message=problem, field="name")
    return found


async def _test(webhook: Webhook, settings: Settings) -> Tested:
    clock = SystemClock()
    now = clock.now()
    wanted = target(webhook, settings.outbound)
    message_id = ids.derive(now, TEST, webhook.name)
    payload = Payload(
        type=TEST, timestamp=now, data={"webhook": webhook.name, "message": "This is a test by an operator."}
    )
    tested = Tested(webhook=webhook.name, receiver=origin(wanted.url), id=message_id, ok=False)
    async with aclosing(Sender(wanted, clock)) as sender:
        try:
            reply = await sender.post(message_id, payload)
        except ProviderError as error:
            return replace(tested, problem=str(error))
    attempt = judged(reply)
    return replace(
        tested, ok=attempt.problem is None, status=reply.status, reply=reply.body, problem=attempt.problem
    )
