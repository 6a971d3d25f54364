"""SQLite files with the recorder's tables."""

from pathlib import Path

from vedette_recorder.store import Store

_made: list[bytes] = []


async def make_tables(file: Path) -> None:
    """Make the recorder's tables in a new *file*: all but the first are copies, which cost next to nothing."""
    if _made:
        _copy(file)
        return
    async with Store(f"sqlite+aiosqlite:///{file}") as store:
        await store.migrate()
    _keep(file)


def _keep(file: Path) -> None:
    _made.append(file.read_bytes())


def _copy(file: Path) -> None:
    file.write_bytes(_made[0])
