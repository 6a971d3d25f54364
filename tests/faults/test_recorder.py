"""Whatever breaks, every acknowledged event gets into the database, once."""

import asyncio
import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

import postgres
from commands import Up
from eventually import eventually
from faults.breaking import Database, Postgres, Sqlite, locked
from faults.storm import Findings, Plan, Scene, scene, weather
from require import missing

pytest_plugins = ("database",)

# A small part of `just bench recorder-faults`, where what a killed recorder held comes back after the product's minute.
SMALL = Plan(
    events=3_000, kills=4, database_outages=2, broker_kills=2, longest_outage_s=1.5, ack_wait_s=5.0, seed=11
)
LOCKED_S = 10.0
DISK_BYTES = 16 * 2**20


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Give a database that can break down, of each kind in turn."""
    if request.param == "SQLite":
        return Sqlite(tmp_path / "vedette.db")
    binaries, directory = request.getfixturevalue("postgres_server")
    return Postgres(binaries, directory, postgres.create_database(binaries, directory))


@pytest.mark.fault(
    "recorder killed while its database and the broker break down",
    "I1",
    "I2",
    "I3",
    trials=SMALL.kills + SMALL.database_outages + SMALL.broker_kills,
)
async def test_killed_while_database_and_broker_break_down(
    database: Database, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Every acknowledged event is in the database exactly once, and nothing else is."""
    outcome = await weather(tmp_path, database, SMALL)
    print(outcome.line(request.node.callspec.id))
    assert outcome.findings == Findings(events=SMALL.events, lost=0, doubled=0, unknown=0, stale=0)


# --- A database that cannot be written for a while ----------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system of its own, which is soon full."""
    directory = tmp_path / "disk"
    directory.mkdir()
    if not _did("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(directory)):
        missing("small-disk", "who may mount one is root, and may use CAP_SYS_ADMIN")
    yield directory
    assert _did("umount", str(directory))


@pytest.fixture
def freezable(tmp_path: Path) -> Path:
    """Give a directory in which `immutable` can be had."""
    probe = tmp_path / "probe"
    probe.touch()
    if not shutil.which("chattr") or not _did("chattr", "+i", str(probe)):
        missing("immutable-file", "who may have one is root, and may use CAP_LINUX_IMMUTABLE")
    assert _did("chattr", "-i", str(probe))
    return tmp_path


def _did(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode == 0


@contextmanager
def full(file: Path) -> Iterator[None]:
    """Have the disk of *file* full."""
    filler = file.with_name("filler")
    with filler.open("wb", buffering=0) as sink:
        for size in (2**16, 2**9, 1):
            try:
                while True:
                    sink.write(b"x" * size)
            except OSError:
                continue
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def immutable(file: Path) -> Iterator[None]:
    """Have *file* and its log refuse every write, open as they are: the one read-only that binds root too."""
    files = (str(file), f"{file}-wal")
    assert _did("chattr", "+i", *files)
    try:
        yield
    finally:
        assert _did("chattr", "-i", *files)


async def problem(recorder: Up) -> str | None:
    """Return what /readyz says is wrong with the recorder."""

    def ask(url: str) -> str | None:
        try:
            with urllib.request.urlopen(url, timeout=60):
                return None
        except urllib.error.HTTPError as error:
            with error:
                return str(json.load(error)["problems"]["recorder"])

    url = (await recorder.line("health")).split()[-1]
    return await asyncio.to_thread(ask, url)


async def lives_through(
    on: Scene, breaking: AbstractContextManager[None], recorder: Up, says: str, *, at_least_s: float = 0
) -> None:
    """Have what is published while the database is *breaking* wait in the stream, and recorded after it.

    Meanwhile /readyz *says* what is wrong, and then that all is well; the recorder is the same process throughout.
    """
    await recorder.line("ready")
    await on.publish(200)
    await eventually(on.recorded, what="what came before the fault recorded")
    assert await problem(recorder) is None

    async def complains() -> bool:
        await on.publish(100)
        return says in (await problem(recorder) or "")

    began = asyncio.get_running_loop().time()
    with breaking:
        await eventually(complains, what=f"/readyz saying {says!r}")
        assert not await on.recorded()
        await asyncio.sleep(max(0, began + at_least_s - asyncio.get_running_loop().time()))
        assert says in (await problem(recorder) or "")

    async def well() -> bool:
        return await problem(recorder) is None

    await eventually(well, what="/readyz saying that all is well")
    await eventually(on.recorded, what="what came during the fault recorded")
    found = await on.findings()
    assert found == Findings(events=found.events, lost=0, doubled=0, unknown=0, stale=0)
    assert await recorder.stop() == 0


@pytest.mark.fault("database's disk full for a while", "I1", "I5")
async def test_a_full_disk_is_said_and_waited_for(small_disk: Path, tmp_path: Path) -> None:
    """Events wait in their stream until there is space again."""
    file = small_disk / "vedette.db"
    async with scene(tmp_path, Sqlite(file), number=10_000, seed=1) as on, on.recorder() as recorder:
        await lives_through(on, full(file), recorder, "disk is full")


@pytest.mark.fault("database locked by another for 10 s", "I1", "I5")
async def test_a_lock_that_another_holds_is_said_and_waited_for(tmp_path: Path) -> None:
    """Ten seconds are twice as long as the driver waits for it."""
    file = tmp_path / "vedette.db"
    async with scene(tmp_path, Sqlite(file), number=10_000, seed=2) as on, on.recorder() as recorder:
        await lives_through(on, locked(file), recorder, "database is locked", at_least_s=LOCKED_S)


@pytest.mark.fault("database read-only for a while", "I1", "I5")
async def test_a_file_that_cannot_be_written_is_said_and_waited_for(freezable: Path) -> None:
    """Although it is open for writing already."""
    file = freezable / "vedette.db"
    async with scene(freezable, Sqlite(file), number=10_000, seed=3) as on, on.recorder() as recorder:
        await lives_through(on, immutable(file), recorder, "disk I/O error")
