"""Commands without the price of an import: a process that has imported the command line forks for each of them.

`python preloaded.py` serves the tests of all workers, on the socket that it has as standard input, until none is
connected. A request is the arguments, the environment, the directory and the umask of a command, with pipes for its
output, its errors and its status. The last gets the number of the command's process in one line, and the exit code in
the next.
"""

import atexit
import gc
import os
import pkgutil
import select
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from importlib.metadata import entry_points
from pathlib import Path

import msgspec
from msgspec import Struct

_MAX_REQUEST_BYTES = 1 << 20
_FILES = 3
_PLACE = "PRELOADED_COMMANDS"  # the environment variable that names the socket
_sockets, _processes = ExitStack(), ExitStack()  # what this process has open until it ends
# The last first: the process ends when none is connected to it.
atexit.register(_processes.close)
atexit.register(_sockets.close)


class Request(Struct, frozen=True):
    """What to run."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str
    umask: int


class Server:
    """A preloaded process, from the side of the one that asks it."""

    def __init__(self) -> None:
        offer()
        self._ours = _sockets.enter_context(_connected(os.environ[_PLACE]))

    def run(self, request: Request, files: tuple[int, int, int]) -> None:
        """Have it run *request* with copies of *files*."""
        socket.send_fds(self._ours, [msgspec.json.encode(request)], list(files))


def offer() -> None:
    """Have a process for this one and its children, unless there is one: it starts when the first of them asks."""
    if _PLACE in os.environ:
        return
    directory = tempfile.mkdtemp(prefix="preloaded-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    os.environ[_PLACE] = f"{directory}/socket"
    listener = _sockets.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    listener.bind(os.environ[_PLACE])
    listener.listen()
    threading.Thread(target=_start_when_asked, args=(listener, os.environ[_PLACE]), daemon=True).start()


def _connected(place: str) -> socket.socket:
    with ExitStack() as refused:
        connection = refused.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        connection.connect(place)
        refused.pop_all()
    return connection


def _start_when_asked(listener: socket.socket, place: str) -> None:
    select.select([listener], [], [])
    with listener:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__))],
            stdin=listener,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "NO_COLOR": "1"},
        )
    _processes.callback(_wait_for, process)
    _sockets.enter_context(_connected(place))  # it serves as long as this process lives


def _wait_for(process: "subprocess.Popen[bytes]") -> None:
    with suppress(subprocess.TimeoutExpired):  # another process may still be connected
        process.wait(10)


def _import() -> None:
    import vedette.cli
    from vedette import providers
    from vedette.runtime import process

    for module in pkgutil.iter_modules(vedette.cli.__path__, "vedette.cli."):
        __import__(module.name)
    for group in ("vedette.services", "vedette.providers", "vedette.checks", "vedette.names"):
        for point in entry_points(group=group):
            point.load()
    # To look for what is installed reads the metadata of every distribution.
    process.service_names()
    for name in providers.names():
        providers.load(name)


def _serve() -> None:
    _import()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # minders leave nothing behind
    asked = selectors.DefaultSelector()
    listener = socket.socket(fileno=os.dup(0))
    asked.register(listener, selectors.EVENT_READ)
    connected = True
    while connected:
        for key, _ in asked.select():
            if key.fileobj is listener:
                asked.register(listener.accept()[0], selectors.EVENT_READ)
            elif not _take(key.fileobj, asked):
                asked.unregister(key.fileobj)
                key.fileobj.close()
                connected = len(asked.get_map()) > 1


def _take(connection: socket.socket, asked: selectors.BaseSelector) -> bool:
    """Take a request and fork for it; return whether *connection* was still open."""
    message, files, *_ = socket.recv_fds(connection, _MAX_REQUEST_BYTES, _FILES)
    if message and os.fork() == 0:
        for key in asked.get_map().values():
            key.fileobj.close()
        asked.close()
        _mind(msgspec.json.decode(message, type=Request), *files)
    for file in files:
        os.close(file)
    return bool(message)


def _mind(request: Request, stdout: int, stderr: int, status: int) -> None:
    """Fork the command, and tell its number and its exit code: the server itself never waits."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    number = os.fork()
    if number == 0:
        os.close(status)
        for target, file in enumerate((os.open(os.devnull, os.O_RDONLY), stdout, stderr)):
            os.dup2(file, target)
            os.close(file)
        _run(request)
    for file in (stdout, stderr):
        os.close(file)
    with suppress(BrokenPipeError):
        os.write(status, b"%d\n" % number)
        _, ended = os.waitpid(number, 0)
        os.write(status, b"%d\n" % os.waitstatus_to_exitcode(ended))
    os._exit(0)


def _run(request: Request) -> None:
    from vedette.cli import main, output

    # A shell has what it starts in the background ignore Ctrl-C, and its children with it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(request.directory)
    os.umask(request.umask)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.stdin, sys.stdout, sys.stderr = (
        open(0, closefd=False),  # noqa: SIM115
        open(1, "w", closefd=False),  # noqa: SIM115
        open(2, "w", closefd=False, errors="backslashreplace", buffering=1),  # noqa: SIM115
    )
    if sys.stdout.isatty():
        output.out.__init__()  # type: ignore[misc] # it was made before the terminal was known
    try:
        main(list(request.arguments))
    except SystemExit as ended:
        _end(ended.code)
        raise


def _end(code: object) -> None:
    """End at once with *code*, where nothing but Python's own clean-up is left; else return.

    That takes apart all that was imported, and so copies the memory that is shared with the server: it takes three
    times as long as most commands.
    """
    if threading.active_count() == 1 and isinstance(code, int):
        with suppress(
            OSError, ValueError
        ):  # the reader is gone, or a file is closed: Python knows what to do
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)


if __name__ == "__main__":
    _serve()
