"""Agents on a real nats-server: each in an account of its own, and in whatever they name as the subject of a reply."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

import vedette_recommender.app as recommender
from eventually import eventually
from ports import reserved
from samples import lifecycle_event
from vedette import Client
from vedette.bus import accounts, agents, permissions
from vedette.bus.accounts import SYSTEM_USER
from vedette.bus.bus import Bus
from vedette.bus.connection import barrier, close
from vedette.client.subscription import Watching
from vedette.errors import BusUnreachable, RequestError
from vedette.local import instance
from vedette.local.instance import Connection
from vedette.messages.codec import encode
from vedette.runtime.nats_server import NatsServer, find_binary
from vedette.runtime.subprocesses import child
from vedette.runtime.telemetry import REQUESTS_REFUSED
from vedette.settings import Settings
from vedette.types import ModelRef

MODEL = ModelRef("box", "m")
FOUND = lifecycle_event("found", MODEL, at=datetime(2026, 11, 29, tzinfo=UTC))
ASKED = b'{"use_case": "chat"}'
FORGED = {"Nats-Stream": "MODELS", "Nats-Subject": "model.found.box.m", "Nats-Sequence": "1"}


@pytest.fixture
def server(own_server: NatsServer) -> NatsServer:
    """Return a nats-server whose accounts the test may change."""
    return own_server


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[NatsClient]:
    """Connect; let nothing that the server refuses be an error of the test's."""

    async def on_error(_: Exception) -> None:
        pass

    connection = await nats.connect(url, error_cb=on_error, allow_reconnect=False)
    try:
        yield connection
    finally:
        await close(connection)


async def heard(connection: NatsClient, *subjects: str) -> list[Msg]:
    """Return a list that fills with what comes on *subjects*."""
    messages: list[Msg] = []

    async def take(message: Msg) -> None:
        messages.append(message)

    for subject in subjects:
        await connection.subscribe(subject, cb=take)
    await barrier(connection)
    return messages


async def settled(connection: NatsClient) -> None:
    """Return when all requests of *connection* so far are answered: the recommender takes them in order."""
    await barrier(connection)
    for subject in ("recommend.best", "models.list", "$SRV.PING"):
        await connection.request(subject, ASKED if subject == "recommend.best" else b"{}", timeout=60)


@asynccontextmanager
async def announced(server: NatsServer, state: Path) -> AsyncIterator[None]:
    """Have *server* be that of the Vedette of *state*."""
    url = server.url("agent")
    connection = Connection(
        nats_url=url, operator_url=server.url("operator"), database_url="", health_url="", pid=os.getpid()
    )
    with instance.announced(state, connection):
        yield


@pytest.mark.fault(
    "an agent names an event's subject for a reply",
    "I2",
    "I13",
    without=("vedette.bus.accounts:refused", lambda subject: subject),
)
async def test_no_reply_becomes_an_event(bus: Bus, server: NatsServer, settings: Settings) -> None:
    """Neither of a question nor of `$SRV`, in the account that all agents share; a true event is heard."""
    async with (
        recommender.serve(settings),
        connected(server.url("agent")) as attacker,
        connected(server.url("agent")) as victim,
    ):
        events = await heard(victim, *permissions.FOLLOWED)
        wild = ("recommend.changed.*", "recommend.changed.>", "model.*", "model.>", "*.found")
        for reply in (*(subject.replace("*", "chat") for subject in permissions.FOLLOWED), *wild):
            for asked in ("recommend.best", "models.list", "endpoints.list", "$SRV.PING", "$SRV.INFO"):
                await attacker.publish(asked, ASKED, reply=reply, headers=FORGED)
        await settled(attacker)
        await bus.js.publish(FOUND.subject, encode(FOUND))
        await eventually(lambda: _any(events), what="heard")
        assert [message.subject for message in events] == ["model.found"]


@asynccontextmanager
async def cluster(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[int]]:
    """Run two servers with the accounts that `vedette contracts --accounts` writes; yield their ports."""
    (directory / "accounts.conf").write_text(accounts.written(["one"]))
    for user in (*accounts.USERS, accounts.user_of("one")):
        monkeypatch.setenv(accounts.variable_of(user), f"p-{user}")
    async with AsyncExitStack() as stack:
        ports, routes = ([stack.enter_context(reserved()) for _ in range(2)] for _ in range(2))
        for number, (port, route) in enumerate(zip(ports, routes, strict=True)):
            configuration = directory / f"{number}.conf"
            configuration.write_text(
                f"listen: 127.0.0.1:{port}\nserver_name: s{number}\njetstream {{store_dir: {directory}/{number}}}\n"
                f"cluster {{name: c, listen: 127.0.0.1:{route}, routes: [nats://127.0.0.1:{routes[1 - number]}]}}\n"
                "include accounts.conf\n"
            )
            command = [find_binary(), "--config", str(configuration)]
            await stack.enter_async_context(child(command, log=directory / f"{number}.log"))

        async def joined() -> bool:
            log = directory / "1.log"
            return log.exists() and "Route connection created" in log.read_text()

        await eventually(joined, what="two servers joined")
        yield ports


@pytest.mark.fault(
    "an agent of a cluster names an event's subject for a reply",
    "I2",
    "I13",
    without=("vedette.bus.accounts:refused", lambda subject: subject),
)
async def test_no_reply_becomes_an_event_in_a_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever who asks, who answers and who listens are connected: here, who answers is at the other server."""
    async with cluster(tmp_path, monkeypatch) as ports, AsyncExitStack() as stack:

        async def user(name: str, port: int) -> NatsClient:
            url = f"nats://{name}:p-{name}@127.0.0.1:{port}"

            async def up() -> NatsClient | None:
                try:
                    return await stack.enter_async_context(connected(url))
                except (OSError, nats.errors.Error):
                    return None

            made = await eventually(up, what=f"{name} connected")
            assert made is not None
            return made

        responder = await user("recommender", ports[1])

        async def answer(message: Msg) -> None:
            await responder.publish(message.reply, b"answered")

        await responder.subscribe("recommend.best", cb=answer)
        await barrier(responder)
        attacker = await user("agent", ports[0])
        listeners = [await user("agent", port) for port in ports]
        heard_at = [await heard(one, *permissions.FOLLOWED, "_INBOX.listener.*") for one in listeners]

        async def answered() -> bool:
            with suppress(nats.errors.Error):
                await attacker.publish("recommend.best", ASKED, reply="model.found")
                await attacker.publish("recommend.best", ASKED, reply="recommend.changed.chat")
                await attacker.publish("recommend.best", ASKED, reply="_INBOX.listener.x")
                await barrier(attacker)
            return all(heard_at)

        await eventually(answered, what="answered at both servers")
        assert {message.subject for messages in heard_at for message in messages} == {"_INBOX.listener.x"}


async def _any(messages: list[Msg]) -> bool:
    return bool(messages)


@pytest.mark.fault(
    "an asker writes an event's headers into its request",
    "I2",
    "I13",
    without=("vedette.runtime.service:Requests", lambda connection, _: connection),
)
async def test_no_reply_repeats_the_headers_of_its_request(
    bus: Bus, server: NatsServer, settings: Settings
) -> None:
    """A client that takes messages with the stream's headers for events takes no reply for one."""
    async with recommender.serve(settings), connected(server.url("agent")) as attacker:
        for asked in ("recommend.best", "recommend.nonsense", "report.outcome", "$SRV.PING", "$SRV.STATS"):
            try:
                reply = await attacker.request(asked, ASKED, timeout=60, headers=FORGED)
            except nats.errors.NoRespondersError:
                continue
            assert not FORGED.keys() & (reply.headers or {}).keys(), asked


@pytest.mark.fault(
    "a request of the same account names a subject that is no inbox for its reply",
    "I2",
    "I13",
    without=("vedette.runtime.askers:answerable", lambda _: True),
)
async def test_a_service_publishes_no_reply_but_to_an_inbox(
    bus: Bus, server: NatsServer, settings: Settings
) -> None:
    """On a server without accounts it sees what the asker names, and refuses it; that is counted."""
    before = _refused("recommend.best")
    async with recommender.serve(settings), connected(server.url("operator")) as asker:
        messages = await heard(asker, "somewhere.else", "report.box.m")
        for reply in ("somewhere.else", "report.box.m"):
            await asker.publish("recommend.best", ASKED, reply=reply)
        await settled(asker)
        assert messages == []
    assert _refused("recommend.best") == before + 2


def _refused(subject: str) -> float:
    return sum(
        sample.value
        for metric in REQUESTS_REFUSED.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels == {"subject": subject}
    )


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(
            b" 100 \xff\xff",
            marks=pytest.mark.fault(
                "an agent sends headers that are not UTF-8",
                "I4",
                "I5",
                "I13",
                without=("vedette.bus.connection:UNREADABLE", ()),
            ),
        ),
        # nats-py reads this one; it is here in case another version does not.
        pytest.param(
            b"\r\n\xff: \xff",
            marks=pytest.mark.fault("an agent sends headers that are not UTF-8", "I4", "I5", "I13"),
        ),
    ],
)
async def test_no_request_stops_a_service_from_reading(
    bus: Bus, server: NatsServer, settings: Settings, status: bytes
) -> None:
    """It is skipped, and the next question is answered: a connection that broke would have lost it."""
    async with recommender.serve(settings), connected(server.url("agent")) as agent:
        headers = b"NATS/1.0" + status + b"\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        login = {"user": "agent", "pass": server.credentials["agent"], "headers": True, "verbose": False}
        writer.write(b"CONNECT " + json.dumps(login).encode() + b"\r\n")
        for subject in ("recommend.best", "report.outcome", "$SRV.PING"):
            size = len(headers)
            writer.write(f"HPUB {subject} _INBOX.x {size} {size}\r\n".encode() + headers + b"\r\n")
        writer.write(b"PING\r\n")
        while await reader.readline() != b"PONG\r\n":
            pass
        reply = await agent.request("recommend.best", ASKED, timeout=60)
        assert b"considered" in reply.data
        writer.close()
        await writer.wait_closed()


@pytest.mark.fault(
    "forged events flood a watcher",
    "I2",
    "I6",
    "I13",
    without=("vedette.client.subscription:repeated", lambda _: True),
)
async def test_a_watcher_takes_only_what_the_broker_repeats(server: NatsServer) -> None:
    """On a server without accounts, where anybody may publish: what is forged takes no room in the reader's queue."""
    true = {"Nats-Stream": "MODELS", "Nats-Subject": FOUND.subject, "Nats-Sequence": "7"}
    async with connected(server.url(SYSTEM_USER)) as anybody:

        async def same() -> NatsClient:
            return anybody

        async with Watching(same, ("model.found",), most_waiting=3) as watching:
            for headers in (None, {}, true | {"Nats-Stream": "OTHER"}, true | {"Nats-Sequence": "x"}):
                for _ in range(10):
                    await anybody.publish("model.found", encode(FOUND), headers=headers)
            other = true | {"Nats-Subject": "model.lost.box.m"}
            await anybody.publish("model.found", encode(FOUND), headers=other)
            await anybody.publish("model.found", encode(FOUND), headers=true)
            async with asyncio.timeout(60):
                assert await anext(watching) == FOUND
            watching.end()
            assert [event async for event in watching] == []


@pytest.mark.fault("an agent replies into the inbox of another, and reads it", "I2", "I13")
async def test_an_agent_with_a_login_of_its_own_is_alone(
    bus: Bus, server: NatsServer, settings: Settings, tmp_path: Path
) -> None:
    """It neither sends to another's inbox nor hears what is sent there, and hears the same events."""
    async with announced(server, tmp_path), recommender.serve(settings):
        urls = [(await agents.add(tmp_path, name)).url or "" for name in ("one", "two")]
        async with connected(urls[0]) as attacker, connected(urls[1]) as victim:
            inbox = victim.new_inbox()
            answers, events = await heard(victim, inbox), await heard(victim, "model.found")
            for asked in ("recommend.best", "$SRV.PING"):
                for reply in (inbox, "model.found"):
                    await attacker.publish(asked, ASKED, reply=reply)
            for reply in ("_INBOX.>", ">"):  # within an account they have the server forget replies
                await attacker.publish("recommend.best", ASKED, reply=reply)
                await victim.request("recommend.best", ASKED, timeout=60)
            overheard = await heard(attacker, "_INBOX.>")
            await victim.request("recommend.best", ASKED, timeout=60)
            await bus.js.publish(FOUND.subject, encode(FOUND))
            await eventually(lambda: _any(events), what="heard")
            await settled(victim)
            await barrier(attacker)
        assert answers == []
        assert len(events) == 1
        assert overheard == []


async def test_logins_come_and_go_while_the_server_runs(
    bus: Bus, server: NatsServer, settings: Settings, tmp_path: Path
) -> None:
    """Nobody else's connection breaks; a login that is taken away ends at once; twice gives the same one."""
    async with announced(server, tmp_path), recommender.serve(settings):
        async with (
            Client(server.url("agent"), timeout_s=60) as shared,
            shared.watch(events=["model.found"]) as watching,
        ):
            one = await agents.add(tmp_path, "one")
            assert one == await agents.add(tmp_path, "one")
            assert one.url is not None
            async with connected(one.url) as connection:
                await connection.request("recommend.best", ASKED, timeout=60)
                await agents.add(tmp_path, "two")
                await connection.request("recommend.best", ASKED, timeout=60)
                await agents.remove(tmp_path, "one")

                async def cut() -> bool:
                    return not connection.is_connected

                await eventually(cut, what="cut off")
            with pytest.raises(BusUnreachable, match="refused these credentials"):
                async with Client(one.url, timeout_s=60) as gone:
                    await gone.best("chat")
            await bus.js.publish(FOUND.subject, encode(FOUND))
            async with asyncio.timeout(60):
                assert await anext(watching) == FOUND
            assert watching.reconnects == 0
        with pytest.raises(RequestError, match="no agent 'one'; known: two"):
            await agents.remove(tmp_path, "one")
        with pytest.raises(RequestError, match="is not a valid name of an agent"):
            await agents.add(tmp_path, "O n e")
    assert agents.kept(tmp_path / "nats").keys() == {"two"}


async def test_a_login_is_taken_whether_vedette_is_up_or_comes_up(server: NatsServer, tmp_path: Path) -> None:
    """While it starts, its server takes the login at once; where there is no server yet, one will."""
    starting = await agents.add(tmp_path, "one")
    assert starting.url is not None
    async with connected(starting.url) as connection:
        assert connection.is_connected
    none_yet = await agents.add(tmp_path / "other", "one")
    assert (none_yet.url, none_yet.user) == (None, "agent-one")
    assert none_yet == await agents.add(tmp_path / "other", "one")


async def test_the_server_of_somebody_else_is_left_alone(server: NatsServer, tmp_path: Path) -> None:
    """A Vedette on a server of one's own has no logins to give."""
    async with announced(server, tmp_path / "nats"):
        with pytest.raises(RequestError, match="NATS server of your own; use --accounts"):
            await agents.add(tmp_path / "nats", "one")
