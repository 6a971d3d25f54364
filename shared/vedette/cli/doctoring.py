"""`doctor`: look at what Vedette needs, before it runs and while it runs."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated

import msgspec
import nats.errors
import nats.js.errors
from cyclopts import Parameter
from nats.js import JetStreamContext
from nats.js.api import StreamInfo

from vedette import log
from vedette.bus import provisioning, stream_configs
from vedette.bus.bus import Bus
from vedette.bus.connection import connect, without_secrets
from vedette.bus.streams import FULL_REMEDY, NEARLY_FULL, used_part
from vedette.cli import options
from vedette.cli.findings import Finding, pause, refusal, refused_models, services, webhook_finding
from vedette.cli.listing import source_in_words
from vedette.cli.measured import show_proofs, show_transcripts
from vedette.cli.output import document, out, styled
from vedette.cli.showing import show_models
from vedette.client import Client
from vedette.clock import SystemClock
from vedette.endpoints import OpenEndpoint, open_endpoints
from vedette.errors import BusUnreachable, ConfigurationError, JetStreamOff, NotRunning, VedetteError
from vedette.local import instance, private
from vedette.messages.declaring import WORKERS
from vedette.messages.events import WebhookState
from vedette.remedies import advice
from vedette.runtime import nats_server, telemetry, web
from vedette.runtime.loop import run
from vedette.settings import Nats, Settings
from vedette.text.figures import counted
from vedette.text.shown import shown_name
from vedette.types import Outcome


def doctor(
    model: Annotated[str | None, Parameter(help="Diagnose this model (endpoint/name) instead.")] = None,
    /,
    *,
    config: options.Config = None,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Look at everything Vedette needs: what is reachable, what is not, what to do.

    With MODEL: its state, the results of its capability checks, and the transcripts of its last failed probes.
    """
    return run(_doctor(config, where, json) if model is None else _examine(model, where, json))


async def _examine(model: str, where: options.Instance, as_json: bool) -> int:
    async with where.client() as client:
        reply = await client.model(model)
        endpoints = () if as_json else (await client.endpoints()).endpoints
    (view,) = reply.models
    if as_json:
        document(reply)
        return 0
    show_models([view], endpoints=endpoints)
    out.print()
    show_proofs([view], "table")
    out.print()
    show_transcripts(view)
    for finding in refused_models([view]):
        out.print(finding.seen)
        out.print(f"→ {finding.remedy}")
    return 0


async def _doctor(config: str | None, where: options.Instance, as_json: bool) -> int:
    findings = [finding async for finding in _findings(config, where)]
    if as_json:
        document({"findings": findings, "ok": all(finding.ok for finding in findings)})
    else:
        for finding in findings:
            mark = ("ok    ", "green") if finding.ok else ("wrong ", "bold red")
            out.print(styled(mark, (f"{finding.what}: ", "bold"), finding.seen))
            if finding.remedy:
                out.print(f"       → {finding.remedy}")
    return 0 if all(finding.ok for finding in findings) else 1


async def _findings(config: str | None, where: options.Instance) -> AsyncIterator[Finding]:
    try:
        settings = options.settings(config)
    except ConfigurationError as error:
        yield Finding(
            what="configuration",
            ok=False,
            seen=str(error),
            remedy="correct the file; Vedette cannot start until then",
        )
        return
    count = len(settings.endpoints)
    yield Finding(what="configuration", ok=True, seen=counted(count, "endpoint"))
    if pod := await _pod(where, settings):
        async for finding in _in_pod(pod, where, settings):
            yield finding
        return
    yield _state(instance.state_directory(where.state_dir))
    if settings.nats.url is None and where.nats is None:
        yield _binary()
    async for finding in _endpoints(settings):
        yield finding
    async for finding in _database(where, settings):
        yield finding
    yield await _running(where, settings)
    async for finding in _refusals(where):
        yield finding
    async for finding in _broker(where, settings):
        yield finding
    async for finding in _ready(where):
        yield finding
    async for finding in _streams(where, settings):
        yield finding
    async for finding in _webhooks(where):
        yield finding


async def _pod(where: options.Instance, settings: Settings) -> telemetry.Readiness | None:
    """Return the readiness of the services in this pod, or None outside a pod."""
    if settings.nats.url is None or where.nats or not settings.http.port:
        return None
    with suppress(NotRunning):
        instance.find(instance.state_directory(where.state_dir))
        return None
    host = "127.0.0.1" if settings.http.host in ("0.0.0.0", "::") else settings.http.host  # noqa: S104 - compared
    readiness = await asyncio.to_thread(telemetry.readiness, web.url_of(host, settings.http.port))
    return readiness if readiness.services else None


async def _in_pod(
    pod: telemetry.Readiness, where: options.Instance, settings: Settings
) -> AsyncIterator[Finding]:
    """Yield the findings in a pod: its services, and the state of what they use, by their own login."""
    for finding in services(pod):
        yield finding
    here = set(pod.services)
    if here & {*WORKERS, "gateway"}:
        async for finding in _endpoints(settings):
            yield finding
    if "recorder" in here:
        async for finding in _database(where, settings):
            yield finding
    try:
        async with connect(settings.nats, name="vedette-doctor"):
            yield Finding(what="NATS", ok=True, seen=without_secrets(settings.nats.url or ""))
    except BusUnreachable as error:
        remedy = "check the Service and the pods of NATS, and this pod's NetworkPolicy and password"
        yield Finding(what="NATS", ok=False, seen=str(error), remedy=remedy)


def _state(directory: Path) -> Finding:
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    problem = "cannot be written" if not os.access(existing, os.W_OK) else None
    if existing == directory:
        problem = problem or private.why_not_private(directory)
    if problem is not None:
        seen, remedy = f"{directory} {problem}", "choose another with --state-dir, or set VEDETTE_STATE_DIR"
        return Finding(what="state directory", ok=False, seen=seen, remedy=remedy)
    if too_small := instance.why_too_small(existing):
        seen, remedy = f"{directory}: {too_small}", "free some space, or choose another with --state-dir"
        return Finding(what="state directory", ok=False, seen=seen, remedy=remedy)
    return Finding(what="state directory", ok=True, seen=str(directory))


async def _database(where: options.Instance, settings: Settings) -> AsyncIterator[Finding]:
    """Yield the state of the database, as the recorder examines it."""
    try:
        url = where.database_of(settings)
    except NotRunning:
        return  # no database yet
    except ConfigurationError as error:
        yield Finding(what="database", ok=False, seen=str(error), remedy="correct [database] url")
        return
    for point in entry_points(group="vedette.databases"):
        seen, problem, remedy = await point.load()(url)
        yield Finding(what="database", ok=problem is None, seen=problem or seen, remedy=remedy)


def _binary() -> Finding:
    try:
        return Finding(what="nats-server", ok=True, seen=nats_server.find_binary())
    except ConfigurationError as error:
        return Finding(what="nats-server", ok=False, seen="not found", remedy=error.problem)


async def _endpoints(settings: Settings) -> AsyncIterator[Finding]:
    """Yield the state of each endpoint. Each is opened separately, so that one failure does not hide the others."""
    for name, endpoint in settings.endpoints.items():
        alone = msgspec.structs.replace(settings, endpoints={name: endpoint})
        try:
            async with open_endpoints(alone, clock=SystemClock()) as endpoints:
                for opened in endpoints:
                    yield await _endpoint(opened)
        except ConfigurationError as error:
            yield Finding(
                what=f"endpoint {name}",
                ok=False,
                seen=str(error),
                remedy=f"correct [endpoints.{name}], or set the missing variable or file where Vedette runs",
            )


async def _endpoint(endpoint: OpenEndpoint) -> Finding:
    what = f"endpoint {endpoint.name}"
    contact = await endpoint.contact()
    if contact.outcome is not Outcome.OK:
        url = endpoint.settings.url
        seen, remedy = advice(url, contact.outcome, contact.detail, contact.remedy)
        if contact.exchange and contact.exchange.received:
            method, path, *_ = contact.exchange.sent.split()
            seen += f" ({method} {path})"
        return Finding(what=what, ok=False, seen=seen, remedy=remedy)
    server = contact.server
    name = " ".join(filter(None, (server.product, server.version))) if server else ""
    listed = len(contact.listing or ())
    return Finding(
        what=what,
        ok=True,
        seen=f"{endpoint.settings.url} answers in {contact.latency_ms:.0f} ms with {counted(listed, 'model')}"
        + (f" ({name})" if name else ""),
        remedy=contact.detail or ("" if listed else "it has no models yet: pull or load one"),
    )


async def _running(where: options.Instance, settings: Settings) -> Finding:
    what = "running Vedette"
    try:
        async with where.client() as client:
            return await _answering(what, client)
    except NotRunning as error:
        place = f"; NATS is {without_secrets(settings.nats.url)}" if settings.nats.url else ""
        return Finding(what=what, ok=False, seen=error.problem + place, remedy=error.remedy)
    except VedetteError as error:
        return Finding(
            what=what, ok=False, seen=str(error), remedy="see the log of the recommender and of NATS"
        )


async def _refusals(where: options.Instance) -> AsyncIterator[Finding]:
    """Yield what a running Vedette ignores or may not do: new names, measurements, calls refused for the account."""
    try:
        async with where.client() as client:
            reply = await client.endpoints()
            models = (await client.models()).models
    except VedetteError:
        return  # `_running` reported it
    for one in reply.left_out:
        if one.wrong:
            yield Finding(
                what=f"endpoint {one.endpoint} of {source_in_words(one.source)}",
                ok=False,
                seen=f"is left out: {one.why}",
                remedy=f"vedette endpoints edit {one.endpoint}, or restore {one.endpoint}"
                if one.source == "operator"
                else "correct it at its source",
            )
    for view in reply.endpoints:
        if finding := pause(view):
            yield finding
        if finding := refusal(view):
            yield finding
        if view.unmeasured:
            seen, _, remedy = view.unmeasured_why.partition("; ")
            yield Finding(what=f"cost of {view.endpoint}", ok=True, seen=seen, remedy=remedy)
    for finding in refused_models(models):
        yield finding


async def _broker(where: options.Instance, settings: Settings) -> AsyncIterator[Finding]:
    """Yield whether the NATS server has JetStream, and whether this machine's clock agrees with it."""
    try:
        async with connect(where.nats_of(settings), name="vedette-doctor") as connection:
            with suppress(nats.errors.TimeoutError):  # this login may not send the request
                await provisioning.require_jetstream(connection)
            bus = Bus(connection, name="operator", clock=SystemClock(), log=log.logger("operator"))
            trouble = await bus.clock.trouble()
    except NotRunning:
        return  # reported before
    except BusUnreachable as error:
        if where.nats is None and settings.nats.url is not None:  # else it was reported before
            remedy = "start NATS there, or correct url, user, password or ca_file in [nats]"
            yield Finding(what="NATS", ok=False, seen=str(error), remedy=remedy)
        return
    except ConfigurationError as error:
        remedy = "correct [nats], or set the missing variable or file where Vedette runs"
        yield Finding(what="NATS", ok=False, seen=str(error), remedy=remedy)
        return
    except JetStreamOff as error:
        seen = f"{error.where}: JetStream is not switched on"
        yield Finding(what="NATS", ok=False, seen=seen, remedy=error.remedy)
        return
    yield Finding(
        what="clock", ok=trouble is None, seen=trouble or "agrees with the clock of the NATS server"
    )


async def _ready(where: options.Instance) -> AsyncIterator[Finding]:
    """Yield the readiness of the local services; nothing if none run."""
    try:
        health_url = instance.find(instance.state_directory(where.state_dir)).health_url
    except NotRunning:
        return
    for finding in services(await asyncio.to_thread(telemetry.readiness, health_url)):
        yield finding


async def _streams(where: options.Instance, settings: Settings) -> AsyncIterator[Finding]:
    """Yield whether streams and NATS servers have room; nothing if no Vedette is known."""
    try:
        async with connect(where.operator(), name="vedette-doctor") as connection:
            js = connection.jetstream(timeout=5)
            infos = await js.streams_info()
            reserved = await _reserved(js, infos)
    except NotRunning:
        return
    except (VedetteError, nats.errors.Error, TimeoutError) as error:
        if where.named():
            return  # this login may not send the request, or it was reported before
        yield Finding(what="streams", ok=False, seen=str(error), remedy="see the log of NATS")
        return
    used = {info.config.name: used_part(info) for info in infos}
    missing = [name for name in stream_configs.stream_names(settings) if name not in used]
    if missing:
        seen = f"missing: {', '.join(missing)}"
        yield Finding(what="streams", ok=False, seen=seen, remedy='run "vedette provision"')
        return
    fullest = max(used, key=lambda name: used[name])
    full = used[fullest] >= NEARLY_FULL
    yield Finding(
        what="streams",
        ok=not full,
        seen=f"{fullest} is the fullest, at {used[fullest]:.0%} of its limit",
        remedy=FULL_REMEDY if full else "",
    )
    if reserved is not None:
        yield reserved


async def _reserved(js: JetStreamContext, infos: Sequence[StreamInfo]) -> Finding | None:
    """Return a finding if the streams reserve more storage than a server has: such a server does not restart."""
    replicas = max((info.config.num_replicas or 1 for info in infos), default=1)
    try:
        await provisioning.require_room(js, 1, replicas)
    except nats.js.errors.APIError as error:
        if not provisioning.is_for_storage(error):
            return None
        return Finding(
            what="storage of NATS",
            ok=False,
            seen="the streams reserve all storage of a NATS server, or more; it may not become ready after a restart",
            remedy="raise max_file_store on every NATS server, then restart them one at a time",
        )
    return None


async def _webhooks(where: options.Instance) -> AsyncIterator[Finding]:
    """Yield the state of each webhook of the local instance. Errors are ignored, because other checks report them."""
    with suppress(VedetteError, nats.errors.Error, TimeoutError):
        operator = Nats(url=instance.find(instance.state_directory(where.state_dir)).operator_url)
        async with connect(operator, name="vedette-doctor") as connection:
            bus = Bus(connection, name="operator", clock=SystemClock(), log=log.logger("operator"))
            held = bus.streams.last_of_each("WEBHOOKS", ["webhook.*"], {})
            states = [event async for _, event in held if isinstance(event, WebhookState) and event.enabled]
        for state in sorted(states, key=lambda one: one.webhook):
            yield webhook_finding(state)


async def _answering(what: str, client: Client) -> Finding:
    models = await client.models()
    measured = sum(1 for model in models.models if model.performance is not None)
    strange = [model for model in models.models if model.notes]
    seen = f"answers; {counted(models.total, 'model')}, {measured} measured"
    if not strange:
        return Finding(what=what, ok=True, seen=seen)
    first = f"{shown_name(strange[0].model)} {'; '.join(strange[0].notes)}"
    return Finding(
        what=what,
        ok=True,
        seen=f"{seen}; {len(strange)} with a strange name, for example {first}",
        remedy='"vedette models" shows why each name is strange; check these models before you call one',
    )
