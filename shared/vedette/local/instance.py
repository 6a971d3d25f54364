"""The Vedette of this machine: its state directory, the process that holds it, and its URLs."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import msgspec
from msgspec import Struct

from vedette.errors import NotRunning, StateDirectoryError
from vedette.local import private

_CONNECTION = "connection.json"
_LOCK = "lock"
MIN_FREE_BYTES = 64 * 2**20


class Connection(Struct, frozen=True, kw_only=True):
    """How to reach a running instance. The file has mode 0600, because the URLs contain credentials."""

    nats_url: str  # with the agent's credentials
    operator_url: str
    database_url: str
    health_url: str
    pid: int
    # The parts of nats_url, for clients that do not accept credentials in a URL.
    server: str = ""
    user: str | None = None
    password: str | None = None
    console_url: str = ""  # empty without a console
    console_token: str = ""  # allows an operator's actions in the console
    gateway_url: str = ""  # of the OpenAI-compatible API, without /v1; empty without a gateway
    config: str | None = None  # path of the configuration file; empty: none; None: unknown


def state_directory(named: str | None, *, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the state directory: *named*, else `VEDETTE_STATE_DIR`, else in the user's data directory."""
    chosen = named or environ.get("VEDETTE_STATE_DIR")
    if chosen:
        return Path(chosen).expanduser().absolute()
    data = Path(environ.get("XDG_DATA_HOME", ""))
    # The XDG specification ignores relative paths.
    return (data if data.is_absolute() else _home() / ".local" / "share") / "vedette"


def _home() -> Path:
    """Return the user's home directory. Raises StateDirectoryError if there is none, as in some containers."""
    try:
        return Path.home()
    except RuntimeError as error:
        problem = (
            "this user has no home directory; name the state directory: --state-dir or VEDETTE_STATE_DIR"
        )
        raise StateDirectoryError(path=Path("~"), problem=problem) from error


def database_file(directory: Path) -> Path:
    """Return the path of the default database in a state directory."""
    return directory / "vedette.db"


def database_url(directory: Path) -> str:
    """Return the URL of the default database in a state directory."""
    return f"sqlite+aiosqlite:///{quote(str(database_file(directory)))}"


@contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Lock *directory* for this process, and create it if needed. New files in this context are for its user only.

    Raises StateDirectoryError if another process holds it (with its id), if it is not writable, or if other users can
    write into it.
    """
    private.make_directory(directory)
    try:
        descriptor = private.open_file(directory / _LOCK, os.O_RDWR)
    except OSError as error:
        raise StateDirectoryError(
            path=directory,
            problem=f"cannot be written ({error.strerror}); choose another with --state-dir",
        ) from error
    try:
        _lock(descriptor, directory)
        _sign(descriptor, directory)
        try:
            with private.umask():
                yield
        finally:
            os.ftruncate(descriptor, 0)  # the process may go on, or another may get its id
    finally:
        os.close(descriptor)


def room(directory: Path) -> int:
    """Return the maximum size of streams (bytes): half of the free space, so that the history has room too.

    Raises StateDirectoryError if there is too little space to start.
    """
    if problem := why_too_small(directory):
        raise StateDirectoryError(
            path=directory,
            problem=f"{problem}; free some space, or choose another directory with --state-dir",
        )
    return _free(directory) // 2


def why_too_small(directory: Path) -> str | None:
    """Return why the disk of *directory* is too full for Vedette to start, or None."""
    free = _free(directory)
    if free >= MIN_FREE_BYTES:
        return None
    return f"the disk has {free // 2**20} MiB free, Vedette needs {MIN_FREE_BYTES // 2**20} MiB to start"


def _free(directory: Path) -> int:
    return shutil.disk_usage(directory).free


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode() or "unknown"
        raise StateDirectoryError(
            path=directory,
            problem=f"in use by another Vedette (process {holder}); stop that one, or choose another with --state-dir",
        ) from error


def _sign(descriptor: int, directory: Path) -> None:
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except OSError as error:
        raise StateDirectoryError(
            path=directory,
            problem=f"cannot be written ({error.strerror}); free some space, or choose another with --state-dir",
        ) from error


@contextmanager
def announced(directory: Path, connection: Connection) -> Iterator[None]:
    """Write `connection.json` into *directory*; remove it at the end of this context."""
    path = directory / _CONNECTION
    private.write_file(path, msgspec.json.format(msgspec.json.encode(connection), indent=2).decode())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def find(directory: Path) -> Connection:
    """Return how to reach the instance of *directory*. Raises NotRunning if none runs, or if it is still starting."""
    path = directory / _CONNECTION
    try:
        connection = msgspec.json.decode(path.read_bytes(), type=Connection)
    except FileNotFoundError as error:
        raise _absent(directory, f"{directory} has no {_CONNECTION}") from error
    except OSError as error:
        whose = "; it belongs to another user" if isinstance(error, PermissionError) else ""
        raise NotRunning(problem=f"{path} cannot be read: {error.strerror}{whose}") from error
    except msgspec.DecodeError as error:
        raise NotRunning(problem=f"{path} cannot be read: {error}") from error
    if not _alive(connection.pid):
        raise _absent(directory, f"process {connection.pid} of {path} is gone")
    return connection


def _absent(directory: Path, problem: str) -> NotRunning:
    """Return the error for *problem*, or that a process holds *directory*: it has no URLs at its start and its end."""
    try:
        holder = int((directory / _LOCK).read_text())
    except (OSError, ValueError):  # another user's, or empty: no process holds it
        return NotRunning(problem=problem)
    # The lock itself is not tried, because a Vedette that starts at this moment would be refused.
    if not _alive(holder):
        return NotRunning(problem=problem)
    return NotRunning(
        problem=f"process {holder} is starting or stopping one in {directory}", remedy="try again in a moment"
    )


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
