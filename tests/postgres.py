"""A PostgreSQL of the tests' own, from the machine's binaries: a fixture plugin.

It listens on a Unix socket in a temporary directory only, and each test gets an empty database.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

# PostgreSQL refuses to run as root; in a container this user can.
UNPRIVILEGED = "nobody"
_SETTINGS = "-c listen_addresses='' -c max_connections=50 -c unix_socket_directories="


def find_binaries() -> Path | None:
    """Return the directory of the newest PostgreSQL here, or None."""
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")]
    if installed:
        return max(installed, key=lambda path: float(path.parent.name))
    on_path = shutil.which("pg_ctl")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def server(binaries: Path, *, fsync: bool = False) -> Iterator[Path]:
    """Run a server of *binaries*; yield the directory of its socket. Tests need no *fsync*, figures do."""
    directory = Path(tempfile.mkdtemp(prefix="vedette-pg-"))
    root = os.geteuid() == 0
    if root:
        shutil.chown(directory, UNPRIVILEGED)

    def run(program: str, *arguments: str) -> None:
        subprocess.run(
            [binaries / program, "-D", directory / "data", *arguments],
            check=True,
            cwd=directory,
            stdout=subprocess.DEVNULL,
            user=UNPRIVILEGED if root else None,
            timeout=60,
        )

    try:
        run("initdb", "--username=postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C")
        settings = f"-c fsync={'on' if fsync else 'off'} {_SETTINGS}{directory}"
        run("pg_ctl", "start", "--wait", "--log", str(directory / "log"), "-o", settings)
        try:
            yield directory
        finally:
            run("pg_ctl", "stop", "--wait", "--mode=immediate")
    finally:
        shutil.rmtree(directory)


def create_database(binaries: Path, socket: Path) -> str:
    """Make an empty database on the server at *socket*; return its URL."""
    name = f"test_{uuid4().hex}"
    create = [str(binaries / "createdb"), "--host", str(socket), "--username", "postgres", name]
    subprocess.run(create, check=True, timeout=60)
    return f"postgresql+asyncpg://postgres@/{name}?host={socket}"


def drop_database(binaries: Path, socket: Path, url: str) -> None:
    """Drop the database at *url* on the server at *socket*, whoever is connected to it."""
    name = url.partition("@/")[2].partition("?")[0]
    drop = [str(binaries / "dropdb"), "--force", "--host", str(socket), "--username", "postgres", name]
    subprocess.run(drop, check=True, timeout=60)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[tuple[Path, Path]]:
    """Give the binaries and the socket directory of a running server; skip where there is none."""
    binaries = find_binaries()
    if binaries is None:
        absent = pytest.fail if "postgres" in os.environ.get("VEDETTE_REQUIRE", "") else pytest.skip
        absent("PostgreSQL is not installed")
    with server(binaries) as socket:
        yield binaries, socket


@pytest.fixture
def postgres_url(postgres_server: tuple[Path, Path]) -> str:
    """Give the URL of an empty database."""
    return create_database(*postgres_server)
