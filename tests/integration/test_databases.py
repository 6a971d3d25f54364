"""Databases as people run them: odd paths, replicas, and a database that others use too."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from faults.disks import disk
from postgres import create_database, replica
from vedette.bus.connection import without_secrets
from vedette.errors import ConfigurationError
from vedette.local import instance
from vedette_recorder import examining, postgres, tables
from vedette_recorder.errors import DatabaseUnavailable
from vedette_recorder.opening import parse
from vedette_recorder.store import Store

pytest_plugins = ("database",)

ODD = ("a b", "100%", "%40 #1", "what?", "me@home", "a%2Fb", "ü;'\"")


@pytest.mark.fault(
    "signs that a URL gives a meaning in the name of the state directory",
    "I1",
    without=("vedette.local.instance:quote", str),
)
@pytest.mark.parametrize("name", ["%40 #1", "what?"])
async def test_history_is_where_it_was_named(name: str, tmp_path: Path) -> None:
    """The file is in the state directory, whatever its name."""
    directory = tmp_path / name
    async with Store(instance.database_url(directory)) as store:
        await store.migrate()
    assert instance.database_file(directory).is_file()
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("name", ODD)
def test_a_state_directory_has_a_url(name: str, tmp_path: Path) -> None:
    url = instance.database_url(tmp_path / name)
    assert parse(url).database == str(tmp_path / name / "vedette.db")
    assert without_secrets(url) == url


@pytest.mark.parametrize("name", ["a b", "#1", "100%", "me@home"])
def test_a_path_may_be_written_as_it_is(name: str, tmp_path: Path) -> None:
    """Only a % before two hexadecimal digits, and a ?, must be written otherwise."""
    url = f"sqlite+aiosqlite:///{tmp_path / name}/vedette.db"
    assert parse(url).database == str(tmp_path / name / "vedette.db")
    assert without_secrets(url) == url


def test_a_plain_percent_sign_in_a_path_is_not_taken_for_another_directory(tmp_path: Path) -> None:
    directory = tmp_path / "a%40b"
    directory.mkdir()
    with pytest.raises(ConfigurationError, match=r"names .*/a@b/vedette.db.*for .*/a%40b/.* as %25"):
        parse(f"sqlite+aiosqlite:///{directory}/vedette.db")
    assert parse(f"sqlite+aiosqlite:///{tmp_path}/a%2540b/vedette.db").database == f"{directory}/vedette.db"


@pytest.mark.fault("the disk of the database's file is mounted read-only", "I1")
async def test_a_read_only_disk_is_named(tmp_path: Path) -> None:
    """By the recorder and by `doctor`, with what to do."""
    with disk(tmp_path / "disk", 64) as place:
        url = instance.database_url(place)
        async with Store(url) as store:
            await store.migrate()
        await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", place], check=True)
        _, problem, remedy = await examining.check(url)
        assert problem == f"{instance.database_file(place)} cannot be written"
        assert "[database] url" in remedy
        with pytest.raises(ConfigurationError, match="cannot be written"):
            async with Store(url):
                pass


@pytest.fixture(scope="module")
def replicated(postgres_server: tuple[Path, Path]) -> Iterator[tuple[str, str]]:
    """Give the URL of a database without tables, and of its replica."""
    binaries, primary = postgres_server
    url = create_database(binaries, primary)
    with replica(binaries, primary) as standby:
        yield url, url.replace(str(primary), str(standby))


@pytest.mark.fault(
    "the database is a read-only replica",
    "I1",
    "I4",
)
async def test_a_replica_is_named(replicated: tuple[str, str]) -> None:
    """One sentence says so, also to `doctor`; of several hosts the primary is taken."""
    url, of_replica = replicated
    async with Store(of_replica) as store:
        with pytest.raises(DatabaseUnavailable, match="read-only: a replica"):
            await store.migrate()
    _, problem, remedy = await examining.check(of_replica)
    assert "read-only: a replica" in (problem or "")
    assert remedy == "correct [database] url"

    both = f"{of_replica}&host={url.partition('host=')[2]}"
    async with Store(both) as store:
        await store.migrate()
        assert await store.count(tables.model_info) == 0
    assert (await examining.check(both))[1] is None


async def test_a_read_only_database_is_refused_though_its_tables_are_right(postgres_url: str) -> None:
    """Nothing would need a change, and no event could be recorded."""
    async with Store(postgres_url) as store:
        await store.migrate()
    engine = create_async_engine(postgres_url)
    async with engine.begin() as connection:
        await connection.execute(sa.text("ALTER ROLE CURRENT_USER SET default_transaction_read_only = on"))
    try:
        async with Store(postgres_url) as store:
            with pytest.raises(DatabaseUnavailable, match="default_transaction_read_only"):
                await store.migrate()
            with pytest.raises(DatabaseUnavailable, match="default_transaction_read_only"):
                await store.delete(tables.model_info, sa.true())
    finally:
        async with engine.begin() as connection:
            await connection.execute(sa.text("SET TRANSACTION READ WRITE"))
            await connection.execute(sa.text("ALTER ROLE CURRENT_USER RESET default_transaction_read_only"))
        await engine.dispose()


OTHERS = (
    "CREATE TABLE users (name text)",
    "INSERT INTO users VALUES ('ada')",
    "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)",
    "INSERT INTO alembic_version VALUES ('1a2b3c4d')",
    "CREATE SCHEMA vedette",
)


@pytest.mark.fault("another program's tables are in the database", "I13")
async def test_a_database_may_be_shared(postgres_url: str) -> None:
    """In a schema of its own Vedette works; in one with another's migrations it says so and changes nothing."""
    engine = create_async_engine(postgres_url)
    async with engine.begin() as connection:
        for statement in OTHERS:
            await connection.execute(sa.text(statement))

    async def others() -> tuple[list[str], str, str]:
        async with engine.connect() as connection:
            names = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
            user = (await connection.execute(sa.text("SELECT name FROM users"))).scalar_one()
            version = (
                await connection.execute(sa.text("SELECT version_num FROM alembic_version"))
            ).scalar_one()
        return sorted(names), user, version

    before = await others()
    async with Store(postgres_url) as store:
        with pytest.raises(ConfigurationError, match=r"of another program \(.*1a2b3c4d.*schema of its own"):
            await store.migrate()
    assert await others() == before
    async with Store(f"{postgres_url}&options=-csearch_path%3Dvedette") as store:
        await store.migrate()
        await store.migrate()
        assert await store.count(tables.model_info) == 0
        await store.downgrade("base")
    assert await others() == before
    await engine.dispose()


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://me:a%2Cb@db1,db2/x", "host=db1&host=db2"),
        ("postgres://me@db1:5433,db2:5434/x?sslmode=require", "host=db1:5433&host=db2:5434&sslmode=require"),
        ("postgresql+asyncpg://db1,db2", "host=db1&host=db2"),
    ],
)
def test_several_hosts_are_written_as_for_psql(url: str, hosts: str) -> None:
    assert postgres.with_hosts_in_query(url).endswith(f"?{hosts}")
    _, options = postgres.split(parse(url))
    assert options["dsn"].endswith("target_session_attrs=primary")
    assert options["host"] == ["db1", "db2"]
    assert len(options["port"]) == 2


@pytest.mark.parametrize(
    "url", ["postgresql://me:a,b@db/x", "postgresql://db/x?host=a", "sqlite+aiosqlite:///a,b"]
)
def test_one_host_stays_as_it_is(url: str) -> None:
    assert postgres.with_hosts_in_query(url) == url


def test_an_at_sign_in_a_password_is_named_and_not_shown() -> None:
    """Else its end would be taken for a host, and be shown in errors."""
    with pytest.raises(ConfigurationError, match="write that one as %40") as caught:
        parse("postgresql://me:se@cret@db/vedette")
    assert "cret" not in str(caught.value)


def test_a_port_that_is_no_number_is_one_sentence() -> None:
    with pytest.raises(ConfigurationError, match="is not a database URL"):
        parse("postgresql://db:54x/vedette")
