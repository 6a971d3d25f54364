"""A PostgreSQL of the tests' own.

Where a Docker engine answers it is a container, by testcontainers; else it comes from the machine's binaries and
listens on a Unix socket in a temporary directory only.
"""

import gc
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa

IMAGE = "postgres:17-alpine"
# PostgreSQL refuses to run as root; in a container this user can.
UNPRIVILEGED = "nobody"
_TIMEOUT_S = 600  # of a program that makes, starts or changes a server
_TEXT = ("--encoding=UTF8", "--locale=C")
_SETTINGS = "-c listen_addresses='' -c max_connections=50 -c unix_socket_directories="


def find_binaries() -> Path | None:
    """Return the directory of the newest PostgreSQL here, or None."""
    installed = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")]
    if installed:
        return max(installed, key=lambda path: float(path.parent.name))
    on_path = shutil.which("pg_ctl")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def server(
    binaries: Path, *, fsync: bool = False, prepare: Callable[[Path], str] = lambda _: ""
) -> Iterator[Path]:
    """Run a server of *binaries*; yield the directory of its socket. Tests need no *fsync*, figures do.

    *prepare* is given that directory before the server starts, and returns more of its options.
    """
    make = ("initdb", "--username=postgres", "--auth=trust", "--no-sync", *_TEXT)
    with _made(binaries, *make) as directory:
        start(binaries, directory, fsync=fsync, more=prepare(directory))
        yield directory


@contextmanager
def replica(binaries: Path, primary: Path) -> Iterator[Path]:
    """Run a read-only copy of the server at *primary* that follows it; yield the directory of its socket."""
    copy = ("pg_basebackup", "--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--username=postgres")
    with _made(binaries, *copy, f"--host={primary}") as directory:
        start(binaries, directory)
        yield directory


@contextmanager
def _made(binaries: Path, program: str, *arguments: str) -> Iterator[Path]:
    """Yield a new directory whose data *program* has made; afterwards stop the server there and delete it."""
    directory = Path(tempfile.mkdtemp(prefix="vedette-pg-"))
    if os.geteuid() == 0:
        shutil.chown(directory, UNPRIVILEGED)
    try:
        _run(binaries, directory, program, *arguments)
        try:
            yield directory
        finally:
            if (directory / "data" / "postmaster.pid").exists():
                stop(binaries, directory)
    finally:
        shutil.rmtree(directory)


def start(binaries: Path, directory: Path, *, fsync: bool = False, more: str = "") -> None:
    """Start the server in *directory*; return when it takes connections."""
    settings = f"-c fsync={'on' if fsync else 'off'} {_SETTINGS}{directory} {more}"
    log = str(directory / "log")
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
        timeout=_TIMEOUT_S,
    )


def create_database(binaries: Path, socket: Path, *options: str) -> str:
    """Make a database on the server at *socket*, an empty one without *options* of createdb; return its URL."""
    name = f"test_{uuid4().hex}"
    create = [str(binaries / "createdb"), "--host", str(socket), "--username", "postgres", *options, name]
    subprocess.run(create, check=True, timeout=_TIMEOUT_S)
    return f"postgresql+asyncpg://postgres@/{name}?host={socket}"


def drop_database(binaries: Path, socket: Path, url: str) -> None:
    """Drop the database at *url* on the server at *socket*, whoever is connected to it."""
    name = url.partition("@/")[2].partition("?")[0]
    drop = [str(binaries / "dropdb"), "--force", "--host", str(socket), "--username", "postgres", name]
    subprocess.run(drop, check=True, timeout=_TIMEOUT_S)


def docker_answers() -> bool:
    """Return whether there is a Docker engine that has PostgreSQL's image, or can get it."""
    import docker  # long to import, and every worker imports this module
    import docker.errors

    with warnings.catch_warnings():
        # When nobody answers, docker 7.2 leaves its socket to the collector, which would complain in some test.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            with closing(docker.from_env(timeout=5)) as client:
                client.ping()
            with closing(docker.from_env(timeout=300)) as client:
                if not client.images.list(IMAGE):
                    client.images.pull(IMAGE)
                return True
        except (docker.errors.DockerException, OSError):
            return False
        finally:
            gc.collect()


@contextmanager
def container() -> Iterator[Callable[..., str]]:
    """Run a server in a container; yield what makes a database by options of createdb and returns its URL."""
    from testcontainers.community.postgres import PostgresContainer  # a second's import, for engines only

    with PostgresContainer(IMAGE, driver="asyncpg") as running:

        def make(*options: str) -> str:
            name = f"test_{uuid4().hex}"
            code, output = running.exec(["createdb", "--username", running.username, *options, name])
            assert code == 0, output
            url = sa.make_url(running.get_connection_url()).set(database=name)
            return url.render_as_string(hide_password=False)

        yield make
