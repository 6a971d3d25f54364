"""The private nats-server of `vedette up`, of the demo and of the tests.

It listens on loopback only and refuses connections without credentials. Its accounts: shared/vedette/bus/accounts.py.
"""

import asyncio
import json
import os
import secrets
import shutil
import sysconfig
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from vedette.bus import accounts, agents
from vedette.errors import BusUnreachable, ConfigurationError
from vedette.local import installing, private
from vedette.runtime.subprocesses import child, free_port, last_line

_START_TIMEOUT_S = 60.0
# Connections stay on this machine, so a failed attempt means that the machine is busy.
OWN_TIMEOUT_S = 60.0
# A server whose parent was killed holds its port a little longer than its parent held the directory.
_FREED_WITHIN_S = 2.0
_GREETED_WITHIN_S = 5.0
_PORT_TAKEN = "address already in use"  # the words in nats-server's log

# A password for each user, created once for each state directory.
Credentials = dict[str, str]
_USERS = (*accounts.USERS, accounts.SYSTEM_USER)


class NatsServer:
    """The private server. It can be restarted: port, credentials and streams stay."""

    def __init__(self, *, port: int, credentials: Credentials, configuration: Path, log: Path) -> None:
        self.port = port
        self.credentials = credentials
        self._command = [find_binary(), "--config", str(configuration)]
        self._log = log
        self._running = AsyncExitStack()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id; 0 before the start."""
        return self._process.pid if self._process else 0

    @property
    def ended(self) -> bool:
        """Whether the process ended without `stop`."""
        return self._process is not None and self._process.returncode is not None

    def url(self, user: str) -> str:
        """Return the URL by which *user* (a service, operator, agent) connects."""
        return f"nats://{user}:{self.credentials[user]}@127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Start the server. Raises BusUnreachable with the last line of its log if it does not start."""
        self._process = await self._running.enter_async_context(child(self._command, log=self._log))
        await _wait_until_up(self._process, self.port, self._log)

    async def stop(self) -> None:
        """Stop the server."""
        await self._running.aclose()

    async def restart(self) -> None:
        """Stop the server and start it again. Raises BusUnreachable."""
        await self.stop()
        await self.start()


def find_binary() -> str:
    """Return the path of a nats-server: `NATS_SERVER_BIN`, else in the scripts of this environment, else on PATH.

    The scripts of an installed tool are not on PATH. Raises ConfigurationError, which says how to get a nats-server.
    """
    named = os.environ.get("NATS_SERVER_BIN")
    candidates = [named] if named else [sysconfig.get_path("scripts"), None]
    for where in candidates:
        found = shutil.which(named or "nats-server", path=None if named else where)
        if found:
            return found
    raise ConfigurationError(
        where="nats-server",
        problem=f"not found; install it ({installing.command('embedded')}), "
        "set NATS_SERVER_BIN, or use a running server with --nats URL",
    )


@asynccontextmanager
async def run(
    directory: Path, *, port: int = 0, say: Callable[[str], None] = lambda _: None
) -> AsyncIterator[NatsServer]:
    """Run a private server with its streams in *directory*; stop it at the end.

    Without a *port*, it uses its last port, or a free one if that is taken; then *say* is called with a line about it.
    Raises BusUnreachable with the last line of its log if it does not start, and ConfigurationError if *port* is taken.
    """
    server = await _prepared(directory, port, say)
    try:
        try:
            await server.start()
        except BusUnreachable as error:
            if port or _PORT_TAKEN not in error.problem:
                raise
            # Another process took the port after we had found it free.
            await server.stop()
            server = await _prepared(directory, port, say)
            await server.start()
        yield server
    finally:
        await server.stop()


async def _prepared(directory: Path, port: int, say: Callable[[str], None]) -> NatsServer:
    private.make_directory(directory)
    credentials = _credentials(directory / agents.CREDENTIALS)
    chosen = _port(port) if port else await _port_of_before(directory, say)
    configuration = directory / agents.CONFIGURATION
    private.write_file(configuration, _configuration(directory, chosen, credentials))
    log = directory / "nats-server.log"
    return NatsServer(port=chosen, credentials=credentials, configuration=configuration, log=log)


def _credentials(path: Path) -> Credentials:
    kept: Credentials = json.loads(path.read_text()) if path.exists() else {}
    credentials = {user: kept.get(user) or secrets.token_urlsafe(24) for user in _USERS}
    if credentials != kept:
        private.write_file(path, json.dumps(credentials))
    return credentials


async def _port_of_before(directory: Path, say: Callable[[str], None]) -> int:
    """Return the last port of the server of *directory*, or a free one."""
    before = int((agents.listens(directory) or ":0").rpartition(":")[2])
    try:
        async with asyncio.timeout(_FREED_WITHIN_S):
            while True:
                with suppress(OSError):
                    return free_port(before)
                await asyncio.sleep(0.05)
    except TimeoutError:
        chosen = _port(0)
        say(
            f"NATS      port {before} of the last start is taken, so it is now {chosen}. "
            "Give the new URL to clients that do not read connection.json."
        )
        return chosen


def _port(port: int) -> int:
    try:
        return free_port(port)
    except OSError as error:
        raise ConfigurationError(
            where=f"port {port}",
            problem=f"cannot be used for NATS: {error.strerror}; choose another with --port, or 0 for a free one",
        ) from error


def _configuration(directory: Path, port: int, credentials: Credentials) -> str:
    configuration = {
        "listen": f"127.0.0.1:{port}",
        "server_name": "vedette",
        "max_payload": 1024 * 1024,
        "max_pending": 64 * 1024 * 1024,
        "max_control_line": 4096,
        "write_deadline": "5s",
        # The default of 2 s is too short for a client on a busy machine.
        "authorization": {"timeout": OWN_TIMEOUT_S},
        # Without a limit, the server takes three quarters of the free space at its start, and then refuses streams that
        # it has. `provision` limits the streams.
        "jetstream": {
            "store_dir": str(directory / "jetstream"),
            "sync_interval": "always",
            "max_file_store": 2**50,
        },
        "system_account": accounts.SYSTEM,
        "accounts": accounts.of_private(credentials, agents.kept(directory)),
    }
    return json.dumps(configuration, indent=1)  # JSON is valid in the server's format


async def _wait_until_up(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    try:
        async with asyncio.timeout(_START_TIMEOUT_S):
            while not await _greets(port) or process.returncode is not None:
                if process.returncode is not None:
                    raise BusUnreachable(url=f"nats-server on port {port}", problem=last_line(log))
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        raise BusUnreachable(
            url=f"nats-server on port {port}",
            problem=f"not up after {_START_TIMEOUT_S:g} s: {last_line(log)}",
        ) from error


async def _greets(port: int) -> bool:
    """Return whether a nats-server listens on *port*; another kind of server may send nothing."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        async with asyncio.timeout(_GREETED_WITHIN_S):
            return (await reader.readline()).startswith(b"INFO ")
    except (OSError, TimeoutError, ValueError):
        return False
    finally:
        writer.close()
