"""The recorder in a storm, on SQLite and on PostgreSQL: what `tests/faults/test_recorder.py` does, in full."""

from pathlib import Path

import postgres
from benchmarks.running import say
from faults.breaking import Postgres, Sqlite
from faults.storm import Plan, weather


async def measure(directory: Path, plan: Plan) -> None:
    """Print a line for each database: what was done to it, and what was lost or doubled."""
    binaries = postgres.find_binaries()
    if binaries is None:
        raise RuntimeError("PostgreSQL is not installed")
    await _through(directory / "sqlite", "SQLite", Sqlite(directory / "vedette.db"), plan)
    with postgres.server(binaries) as server:
        database = Postgres(binaries, server, postgres.create_database(binaries, server))
        await _through(directory / "postgres", "PostgreSQL", database, plan)


async def _through(directory: Path, name: str, database: Sqlite | Postgres, plan: Plan) -> None:
    say(f"{name}: {plan.events} events, {plan.kills} kills")
    outcome = await weather(directory, database, plan)
    print(outcome.line(name), flush=True)
