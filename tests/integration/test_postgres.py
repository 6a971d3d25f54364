"""PostgreSQL through pgbouncer, and with TLS as its URL asks for it."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
import trustme

from ports import reserved
from postgres import UNPRIVILEGED, create_database, find_binaries, server
from require import missing
from samples import probe_event, recorded_rows
from vedette.errors import ConfigurationError
from vedette.types import ModelRef
from vedette_recorder import tables
from vedette_recorder.errors import DatabaseUnavailable
from vedette_recorder.postgres import DRIVER
from vedette_recorder.store import Store

pytest_plugins = ("database",)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MODEL = ModelRef("local", "a")
POOLED = 3  # connections of pgbouncer for all of ours
PASSWORD = "p%40ss%w:rd/?#é"


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    ready = ["pg_isready", "--host", "127.0.0.1", "--port", str(port), "--timeout", "30"]
    for _ in range(100):
        assert process.poll() is None, "pgbouncer ended"
        if subprocess.run(ready, check=False, stdout=subprocess.DEVNULL).returncode == 0:
            return
    raise AssertionError("pgbouncer does not answer")


@pytest.fixture
def pooled(postgres_server: tuple[Path, Path], port: int) -> Iterator[str]:
    """Run pgbouncer in transaction mode before an empty database; give the URL."""
    program = shutil.which("pgbouncer")
    if program is None:
        missing("pgbouncer", "apt-get install pgbouncer")
    binaries, socket = postgres_server
    database = create_database(binaries, socket).partition("@/")[2].partition("?")[0]
    file = socket / f"pgbouncer-{port}.ini"
    file.write_text(
        f"""[databases]
{database} = host={socket} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {POOLED}
server_reset_query_always = 0
"""
    )
    user = UNPRIVILEGED if os.geteuid() == 0 else None
    with subprocess.Popen([program, str(file)], user=user, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port, process)
            yield f"postgresql://postgres@127.0.0.1:{port}/{database}"
        finally:
            process.kill()


@pytest.mark.fault(
    "pgbouncer in transaction mode stands before PostgreSQL",
    "I1",
    "I4",
    without=("vedette_recorder.postgres:Pooler.follow", lambda *_: None),
)
async def test_through_a_pooler_everything_works(pooled: str) -> None:
    """Several stores at once migrate, write, read, page and delete over three connections of the pooler."""
    events = [probe_event(MODEL, at=NOW - timedelta(minutes=n), job_id=f"j{n}") for n in range(200)]
    async with AsyncExitStack() as stack:
        stores = [await stack.enter_async_context(Store(pooled)) for _ in range(3)]
        await asyncio.gather(*(store.migrate() for store in stores))

        async def work(n: int) -> None:
            store = stores[n % len(stores)]
            await store.write(recorded_rows(events[10 * n : 10 * n + 10], at=NOW))
            for _ in range(10):
                await store.read(sa.select(tables.model_availability_history).limit(n + 1))

        await asyncio.gather(*(work(n) for n in range(20)))
        store = stores[0]
        assert await store.count(tables.model_availability_history) == 200
        table = tables.model_availability_history
        query = sa.select(table)
        key = (table.c.measured_at, table.c.event_id)
        pages = [page async for page in store.stream(query, key, chunk=30)]
        assert sum(map(len, pages)) == 200
        deleted = await store.delete_older_than(NOW - timedelta(minutes=100), batch=20)
        assert deleted[table.name] > 90
        # Nothing that was prepared stays behind on the server's side.
        left = await store.read(
            sa.select(sa.func.count().label("n")).select_from(sa.text("pg_prepared_statements"))
        )
        assert left[0]["n"] <= 1


async def test_without_a_pooler_statements_stay_prepared(postgres_url: str) -> None:
    """What a pooler cannot have costs nobody else anything."""
    async with Store(postgres_url) as store:
        await store.migrate()
        for _ in range(3):
            await store.count(tables.model_info)
        left = await store.read(
            sa.select(sa.func.count().label("n")).select_from(sa.text("pg_prepared_statements"))
        )
    assert left[0]["n"] > 1


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Run a PostgreSQL that takes TLS alone, and a password with every odd character; give URL and authority."""
    binaries = find_binaries()
    if binaries is None:
        missing("postgres", "install PostgreSQL's server")
    authority = trustme.CA()
    ca_file = tmp_path_factory.mktemp("tls") / "ca 100%.pem"
    authority.cert_pem.write_to_path(str(ca_file))

    def prepare(directory: Path) -> str:
        certificate, key = directory / "server.pem", directory / "server.key"
        issued = authority.issue_cert("localhost")
        issued.cert_chain_pems[0].write_to_path(str(certificate))
        issued.private_key_pem.write_to_path(str(key))
        key.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(key, UNPRIVILEGED)
        (directory / "data" / "pg_hba.conf").write_text(
            "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
        )
        tls = f"-c ssl=on -c ssl_cert_file={certificate} -c ssl_key_file={key}"
        return f"-c listen_addresses=127.0.0.1 -c port={port} {tls}"

    with reserved() as port, server(binaries, prepare=prepare) as socket:
        psql = [binaries / "psql", "--host", socket, "--port", str(port), "--username", "postgres", "--quiet"]
        subprocess.run([*psql, "--command", f"CREATE ROLE me LOGIN PASSWORD '{PASSWORD}'"], check=True)
        subprocess.run([*psql, "--command", "CREATE DATABASE vedette OWNER me"], check=True)
        yield f"me:{quote(PASSWORD, safe='')}@HOST:{port}/vedette", str(ca_file)


REFUSED, FOREIGN = "no pg_hba.conf entry|rejected", "CERTIFICATE_VERIFY_FAILED|certificate verify failed"


@pytest.mark.parametrize(
    ("scheme", "host", "query", "problem"),
    [
        ("postgresql", "localhost", "", None),
        ("postgresql", "localhost", "?sslmode=prefer", None),
        ("postgresql", "localhost", "?sslmode=allow", None),
        (
            "postgresql",
            "localhost",
            "?sslmode=require&application_name=vedette&connect_timeout=20",
            None,
        ),
        ("postgresql", "127.0.0.1", "?sslmode=verify-ca&sslrootcert=CA", None),
        ("postgresql", "localhost", "?sslmode=verify-full&sslrootcert=CA", None),
        ("postgres", "localhost", "?sslmode=verify-full&sslrootcert=CA", None),
        (DRIVER, "localhost", "?sslmode=verify-full&sslrootcert=CA", None),
        ("postgresql", "localhost", "?sslmode=disable", REFUSED),
        ("postgres", "localhost", "?sslmode=disable", REFUSED),
        (DRIVER, "localhost", "?sslmode=disable", REFUSED),
        ("postgresql", "127.0.0.1", "?sslmode=verify-full&sslrootcert=CA", FOREIGN),
        ("postgresql", "localhost", "?sslmode=verify-full&sslrootcert=system", FOREIGN),
        ("postgresql", "localhost", "?sslmode=require&sslrootcert=OTHER", FOREIGN),
    ],
)
async def test_tls_is_as_the_url_asks(
    scheme: str, host: str, query: str, problem: str | None, secured: tuple[str, str], tmp_path: Path
) -> None:
    """As libpq understands it, by every name of PostgreSQL; a refusal says which."""
    place, ca_file = secured
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    query = query.replace("CA", quote(ca_file)).replace("OTHER", str(other))
    async with Store(f"{scheme}://{place.replace('HOST', host)}{query}") as store:
        if problem is None:
            tls = sa.text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").columns(ssl=sa.Boolean)
            assert (await store.read(sa.select(tls.subquery())))[0]["ssl"] is True
        else:
            with pytest.raises(DatabaseUnavailable, match=problem) as caught:
                await store.read(sa.select(sa.literal(1)))
            assert quote(PASSWORD, safe="") not in str(caught.value)


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("sslmode=verify", "use one of disable"),
        ("sslmode=verify-full&sslrootcert=/no/such.pem", "/no/such.pem: there is no such file"),
        ("connect_timeout=soon", "is not a number of seconds"),
        ("ssl_mode=require", r"\?ssl_mode is not supported"),
    ],
)
def test_what_a_url_asks_for_in_vain_is_told(query: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        Store(f"postgresql://me@localhost/vedette?{query}")
