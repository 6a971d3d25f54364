"""The recorder's database, empty for each test, of each kind in turn: a fixture plugin."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from postgres import container, create_database, docker_answers, find_binaries, server
from require import missing
from vedette_recorder.store import Store


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[tuple[Path, Path]]:
    """Give the binaries and the directory of a server on this machine; skip where there is none."""
    binaries = find_binaries()
    if binaries is None:
        missing("postgres", "install PostgreSQL's server, or start a Docker engine")
    with server(binaries) as directory:
        yield binaries, directory


@pytest.fixture(scope="session")
def postgres_container() -> Iterator[Callable[[], str] | None]:
    """Give what makes an empty database in a container; None where no Docker engine answers."""
    if not docker_answers():
        yield None
        return
    with container() as make:
        yield make


@pytest.fixture
def postgres_url(postgres_container: Callable[[], str] | None, request: pytest.FixtureRequest) -> str:
    """Give the URL of an empty database."""
    if postgres_container is not None:
        return postgres_container()
    return create_database(*request.getfixturevalue("postgres_server"))


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty database, of each kind in turn."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite+aiosqlite:///{tmp_path}/vedette.db"


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    """Give a store with its tables made."""
    async with Store(url) as store:
        await store.migrate()
        yield store
