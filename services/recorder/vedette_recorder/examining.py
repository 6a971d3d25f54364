"""`vedette doctor` examines the database: whether it replies, and whether its file is intact."""

import asyncio
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from vedette.errors import ConfigurationError
from vedette_recorder import postgres
from vedette_recorder.errors import DatabaseUnavailable
from vedette_recorder.opening import parse
from vedette_recorder.store import Store

MAX_CHECK_S = 10.0
_STEPS = 100_000  # of SQLite's machine, between two looks at the clock
_READ_ONLY = "let its user write there, or name another file: [database] url, or --state-dir"
_MALFORMED = (
    'stop Vedette, move the file and the two next to it (-wal, -shm) away, and start again: "vedette up" makes a new '
    "database and records what NATS still holds; sqlite3's .recover reads what is left of the old one"
)


async def check(url: str) -> tuple[str, str | None, str]:
    """Return the state of the database at *url*, its problem, and the remedy."""
    try:
        parsed = parse(url)
        place = parsed.host or "PostgreSQL"
        if parsed.get_backend_name() == "sqlite":
            return await asyncio.to_thread(_check_file, Path(parsed.database or ""))
        async with Store(url) as store:
            rows = await store.read(postgres.IS_READ_ONLY)
    except (ConfigurationError, DatabaseUnavailable) as error:
        return "", str(error), "correct [database] url, or start the database"
    if rows[0]["read_only"]:
        return "", f"{place}: {postgres.READ_ONLY}", "correct [database] url"
    return f"{place} answers", None, ""


def _check_file(path: Path) -> tuple[str, str | None, str]:
    if not path.exists() or not path.stat().st_size:
        return f'{path} is made by "vedette up"', None, ""
    # SQLite writes next to the file, too.
    for needed in (path, path.parent):
        if not os.access(needed, os.W_OK):
            return "", f"{needed} cannot be written", _READ_ONLY
    ends = time.monotonic() + MAX_CHECK_S
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5)) as connection:
            connection.set_progress_handler(lambda: time.monotonic() > ends, _STEPS)
            (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if time.monotonic() > ends:
            return f"{path}: nothing wrong was found in {MAX_CHECK_S:g} s", None, ""
        return (
            "",
            f"{path}: {error}",
            "see whether the file can be read, and whether another program holds it",
        )
    except sqlite3.DatabaseError as error:
        return "", f"{path}: {error}", _MALFORMED
    if result != "ok":
        return "", f"{path} is malformed: {' '.join(result.split())}", _MALFORMED
    return f"{path} is whole", None, ""
