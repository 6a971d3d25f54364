"""The recorder's database, empty for each test, of each kind in turn: a fixture plugin."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio
import sqlalchemy as sa

from postgres import container, create_database, docker_answers, find_binaries, server
from require import missing
from sqlite import make_tables
from vedette_recorder.store import Store

Make = Callable[..., str]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[tuple[Path, Path]]:
    """Give the binaries and the directory of a server on this machine; skip where there is none."""
    binaries = find_binaries()
    if binaries is None:
        missing("postgres", "install PostgreSQL's server, or start a Docker engine")
    with server(binaries) as directory:
        yield binaries, directory


@pytest.fixture(scope="session")
def make_postgres(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Give what makes a database by options of createdb (none: an empty one), and returns its URL."""
    if docker_answers():
        with container() as make:
            yield make
    else:
        yield partial(create_database, *request.getfixturevalue("postgres_server"))


@pytest.fixture
def postgres_url(make_postgres: Make) -> str:
    """Give the URL of an empty database."""
    return make_postgres()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres_with_tables(make_postgres: Make) -> Callable[[], str]:
    """Give what makes a database with the recorder's tables: a copy, since to make them takes far longer."""
    url = make_postgres()
    async with Store(url) as store:
        await store.migrate()
    # The server waits some seconds until no connection is left to what it copies.
    return partial(make_postgres, f"--template={sa.make_url(url).database}")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of a database, of each kind in turn: empty, unless the test has a `store`."""
    if request.param == "sqlite":
        return f"sqlite+aiosqlite:///{tmp_path}/vedette.db"
    make = "postgres_with_tables" if "store" in request.fixturenames else "make_postgres"
    return str(request.getfixturevalue(make)())


@pytest.fixture
async def store(url: str, tmp_path: Path) -> AsyncIterator[Store]:
    """Give a store with its tables made."""
    if url.startswith("sqlite"):
        await make_tables(tmp_path / "vedette.db")
    async with Store(url) as store:
        yield store
