"""The recorder's database, empty for each test, of each kind in turn: a fixture plugin."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from postgres import create_database, find_binaries, server
from require import missing
from vedette_recorder.store import Store


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[tuple[Path, Path]]:
    """Give the binaries and the directory of a running server; skip where there is none."""
    binaries = find_binaries()
    if binaries is None:
        missing("postgres", "install PostgreSQL's server")
    with server(binaries) as directory:
        yield binaries, directory


@pytest.fixture
def postgres_url(postgres_server: tuple[Path, Path]) -> str:
    """Give the URL of an empty database."""
    return create_database(*postgres_server)


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
