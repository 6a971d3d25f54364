"""The recorder's database, of each kind in turn: a fixture plugin."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from vedette_recorder.store import Store

pytest_plugins = ("postgres",)


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
