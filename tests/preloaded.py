"""Commands without the price of an import: a process that has imported the command line forks for each of them.

`python preloaded.py` serves one process of the tests over the socket that it has as standard input. A request is the
arguments, the environment and the directory of a command, with pipes for its output, its errors and its status. The
last gets the number of the command's process in one line, and the exit code in the next.
"""

import gc
import os
import pkgutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path

import msgspec
from msgspec import Struct

_MAX_REQUEST_BYTES = 1 << 20
_FILES = 3


class Request(Struct, frozen=True):
    """What to run."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str


class Server:
    """A preloaded process, from the side of the one that asks it."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # It ends when our side of the socket is closed, also when this process is killed.
            subprocess.Popen(
                [sys.executable, str(Path(__file__))],
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "NO_COLOR": "1"},
            ).returncode = 0  # it is not awaited

    def run(self, request: Request, files: tuple[int, int, int]) -> None:
        """Have it run *request* with copies of *files*."""
        socket.send_fds(self._ours, [msgspec.json.encode(request)], list(files))


def _import() -> None:
    import vedette.cli

    for module in pkgutil.iter_modules(vedette.cli.__path__, "vedette.cli."):
        __import__(module.name)
    for group in ("vedette.services", "vedette.providers", "vedette.checks", "vedette.names"):
        for point in entry_points(group=group):
            point.load()


def _serve() -> None:
    _import()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # minders leave nothing behind
    requests = socket.socket(fileno=os.dup(0))
    while True:
        message, files, *_ = socket.recv_fds(requests, _MAX_REQUEST_BYTES, _FILES)
        if not message:
            return
        if os.fork() == 0:
            requests.close()
            _mind(msgspec.json.decode(message, type=Request), *files)
        for file in files:
            os.close(file)


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
    os.environ.clear()
    os.environ.update(request.environment)
    sys.stdin, sys.stdout, sys.stderr = (
        open(0, closefd=False),  # noqa: SIM115
        open(1, "w", closefd=False),  # noqa: SIM115
        open(2, "w", closefd=False, errors="backslashreplace", buffering=1),  # noqa: SIM115
    )
    if sys.stdout.isatty():
        output.out.__init__()  # type: ignore[misc] # it was made before the terminal was known
    main(list(request.arguments))


if __name__ == "__main__":
    _serve()
