"""Agents of a private server. Each has its own user and account, stored in the state directory."""

import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import nats.errors
from msgspec import Struct
from nats.aio.client import Client as NatsClient

from vedette.bus import accounts
from vedette.bus.connection import connect
from vedette.errors import BusUnreachable, NotRunning, ReloadFailed, RequestError
from vedette.local import instance, private
from vedette.settings import Nats

CONFIGURATION: Final = "nats-server.conf"
CREDENTIALS: Final = "credentials.json"
_AGENTS: Final = "agents.json"
_RELOAD_TIMEOUT_S: Final = 15.0


class Agent(Struct, frozen=True, kw_only=True):
    """The login of an agent. `server` and `url` are None if no server runs."""

    name: str
    user: str
    password: str
    server: str | None = None
    url: str | None = None


def kept(directory: Path) -> dict[str, str]:
    """Return the passwords of the agents of the private server in *directory*, by name."""
    path = directory / _AGENTS
    passwords: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return passwords


async def add(state: Path, name: str) -> Agent:
    """Return the login of the agent *name*; create it if there is none. A running server accepts it at once.

    Raises RequestError for an invalid name and for a server that is not the private one, ReloadFailed if the server
    does not apply it.
    """
    user = accounts.user_of(name)

    def added(passwords: dict[str, str]) -> dict[str, str]:
        return passwords if name in passwords else {**passwords, name: secrets.token_urlsafe(24)}

    passwords, server = await _change(state, added)
    url = server and f"nats://{user}:{passwords[name]}@{server}"
    return Agent(
        name=name, user=user, password=passwords[name], server=server and f"nats://{server}", url=url
    )


async def remove(state: Path, name: str) -> None:
    """Remove the login of the agent *name*; a running server closes its connections.

    Raises RequestError if there is no such agent, and the errors of `add`.
    """
    accounts.user_of(name)

    def removed(passwords: dict[str, str]) -> dict[str, str]:
        if name not in passwords:
            known = ", ".join(sorted(passwords)) or "none"
            raise RequestError(
                code="unknown_agent", message=f"no agent {name!r}; known: {known}", field="name"
            )
        return {agent: password for agent, password in passwords.items() if agent != name}

    await _change(state, removed)


async def _change(
    state: Path, change: Callable[[dict[str, str]], dict[str, str]]
) -> tuple[dict[str, str], str | None]:
    """Write the passwords after *change*; return them, and the address of the server, or None if it does not run."""
    directory = state / "nats"
    _refuse_other_server(state, directory)
    with _alone(directory):
        before = kept(directory)
        after = change(before)
        if after != before:
            private.write_file(directory / _AGENTS, json.dumps(after, indent=1))
        return after, await _reload(directory, after, changed=after != before)


def _refuse_other_server(state: Path, directory: Path) -> None:
    """Raise RequestError if the Vedette of *state* runs on another server than the one in *directory*."""
    try:
        connection = instance.find(state)
    except NotRunning:
        return
    place = urlsplit(connection.nats_url).netloc.rpartition("@")[2]
    if place != listens(directory):
        problem = f"Vedette in {state} runs on {place}, a NATS server of your own; use --accounts"
        raise RequestError(code="not_ours", message=problem)


def listens(directory: Path) -> str | None:
    """Return host and port of the private server in *directory*, running or not; None if it never ran."""
    path = directory / CONFIGURATION
    place: str | None = json.loads(path.read_text())["listen"] if path.exists() else None
    return place


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Lock *directory*, so that only one process changes its agents at a time."""
    private.make_directory(directory)
    with os.fdopen(private.open_file(directory / "agents.lock", os.O_WRONLY), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


async def _reload(directory: Path, agents: dict[str, str], *, changed: bool) -> str | None:
    """Make the server of *directory* apply these *agents*; return where it listens, or None if it does not run.

    The server itself is contacted. `connection.json` would not do, because it is written only after all services
    started.
    """
    place, path = listens(directory), directory / CONFIGURATION
    if place is None:
        return None
    credentials, user = json.loads((directory / CREDENTIALS).read_text()), accounts.SYSTEM_USER
    url = f"nats://{user}:{credentials.get(user, '')}@{place}"
    try:
        async with connect(Nats(url=url), name="vedette-agents") as connection:
            if changed:
                configuration = json.loads(path.read_text())
                configuration["accounts"] = accounts.of_private(credentials, agents)
                private.write_file(path, json.dumps(configuration, indent=1))
                # nats-server 2.15 allows queries of a new account only after a second reload
                for _ in range(2):
                    await _ask_to_reload(connection, place)
            return place
    except BusUnreachable:
        return None


async def _ask_to_reload(connection: NatsClient, place: str) -> None:
    try:
        pong = await connection.request("$SYS.REQ.SERVER.PING", timeout=_RELOAD_TIMEOUT_S)
        server = json.loads(pong.data)["server"]["id"]
        reply = await connection.request(f"$SYS.REQ.SERVER.{server}.RELOAD", timeout=_RELOAD_TIMEOUT_S)
    except nats.errors.Error as error:
        raise ReloadFailed(server=place, problem=str(error)) from error
    if refusal := json.loads(reply.data).get("error"):
        raise ReloadFailed(server=place, problem=refusal.get("description", refusal))
