"""`vedette doctor` sees a database that is no database any more."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from commands import vedette
from vedette.local import instance
from vedette_recorder import examining
from vedette_recorder.store import Store

pytest_plugins = ("database",)

PAGE = 4096


def _overwrite_pages(file: Path) -> None:
    whole = bytearray(file.read_bytes())
    for page in range(2, len(whole) // PAGE):
        whole[page * PAGE : page * PAGE + 100] = b"\xa5" * 100
    file.write_bytes(whole)


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: 5 * PAGE + 17])


def _replace(file: Path) -> None:
    file.write_bytes(b"this was a database once\n" * 1000)


BROKEN: dict[str, Callable[[Path], None]] = {
    "pages are overwritten": _overwrite_pages,
    "the file is truncated": _truncate,
    "the file is something else": _replace,
}


async def _made(directory: Path) -> Path:
    """Return the file of a database with its tables, at rest."""
    async with Store(instance.database_url(directory)) as store:
        await store.migrate()
    file = instance.database_file(directory)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return file


@pytest.mark.fault(
    "the database's file is malformed",
    "I4",
    without=("vedette_recorder.examining:_check_file", lambda path: (str(path), None, "")),
)
@pytest.mark.parametrize("how", BROKEN)
async def test_a_malformed_database_is_seen(how: str, tmp_path: Path) -> None:
    """What is wrong is said, and what to do."""
    file = await _made(tmp_path)
    seen, problem, _ = await examining.check(instance.database_url(tmp_path))
    assert problem is None
    assert seen.endswith("is whole")
    BROKEN[how](file)
    _, problem, remedy = await examining.check(instance.database_url(tmp_path))
    assert str(file) in (problem or "")
    assert "move the file" in remedy


async def test_doctor_tells(tmp_path: Path) -> None:
    """It finds nothing running, and yet the database that is there."""
    _replace(await _made(tmp_path))
    ended = await vedette("doctor", "--json", "--state-dir", str(tmp_path), OLLAMA_HOST="127.0.0.1:1")
    (finding,) = [finding for finding in ended.json()["findings"] if finding["what"] == "database"]
    assert ended.code == 1
    assert not finding["ok"]
    assert "not a database" in finding["seen"]


async def test_a_database_in_use_is_whole(tmp_path: Path) -> None:
    """A reader is in nobody's way, and what is not there yet is not wrong."""
    url = instance.database_url(tmp_path)
    assert (await examining.check(url))[1] is None
    async with Store(url) as store:
        await asyncio.gather(store.migrate(), examining.check(url))
        assert (await examining.check(url))[0].endswith("is whole")


async def test_postgresql_answers_or_does_not(postgres_url: str) -> None:
    assert (await examining.check(postgres_url))[1] is None
    _, problem, _ = await examining.check("postgresql://me:secret@127.0.0.1:1/vedette?connect_timeout=5")
    assert problem
    assert "secret" not in problem
