"""A PostgreSQL of the tests' own, from the machine's binaries. It listens on a Unix socket in its directory only."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

# PostgreSQL refuses to run as root; in a container this user can.
UNPRIVILEGED = "nobody"
_SETTINGS = "-c listen_addresses='' -c fsync=off -c max_connections=50 -c unix_socket_directories="


def find_binaries() -> Path | None:
    """Return the directory of the newest PostgreSQL here, or None."""
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")]
    if installed:
        return max(installed, key=lambda path: float(path.parent.name))
    on_path = shutil.which("pg_ctl")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def server(binaries: Path) -> Iterator[Path]:
    """Run a server of *binaries*; yield its directory, which is that of its socket."""
    directory = Path(tempfile.mkdtemp(prefix="vedette-pg-"))
    if os.geteuid() == 0:
        shutil.chown(directory, UNPRIVILEGED)
    try:
        options = ("--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        _run(binaries, directory, "initdb", *options)
        start(binaries, directory)
        try:
            yield directory
        finally:
            stop(binaries, directory)
    finally:
        shutil.rmtree(directory)


def start(binaries: Path, directory: Path) -> None:
    """Start the server in *directory*; return when it takes connections."""
    log, settings = str(directory / "log"), f"{_SETTINGS}{directory}"
    _run(binaries, directory, "pg_ctl", "start", "--wait", "--log", log, "-o", settings)


def stop(binaries: Path, directory: Path) -> None:
    """Stop the server in *directory* as a crash would: it ends no transaction and writes no checkpoint."""
    _run(binaries, directory, "pg_ctl", "stop", "--wait", "--mode=immediate")


def _run(binaries: Path, directory: Path, program: str, *arguments: str) -> None:
    subprocess.run(
        [binaries / program, "-D", directory / "data", *arguments],
        check=True,
        cwd=directory,
        stdout=subprocess.DEVNULL,
        user=UNPRIVILEGED if os.geteuid() == 0 else None,
        timeout=60,
    )


def create_database(binaries: Path, socket: Path) -> str:
    """Make an empty database; return its URL."""
    name = f"test_{uuid4().hex}"
    create = [str(binaries / "createdb"), "--host", str(socket), "--username", "postgres", name]
    subprocess.run(create, check=True, timeout=60)
    return f"postgresql+asyncpg://postgres@/{name}?host={socket}"
