"""The recorder: how fast it writes beside the bare driver, and while it deletes, and how fast it answers."""

from pathlib import Path
from typing import Literal

from msgspec import Struct

from benchmarks import ingest, past, retention
from benchmarks.databases import Databases

Part = Literal["ingest", "retention", "past"]
PARTS: tuple[Part, ...] = ("ingest", "retention", "past")


class Plan(Struct, frozen=True, kw_only=True):
    """How much of everything."""

    events: int
    of_round: int
    rounds: int
    old_rows: int
    events_per_s: float
    alone_s: float
    models: int
    asked: int
    parts: tuple[Part, ...]


async def measure(directory: Path, plan: Plan) -> None:
    """Print every figure as a row of a Markdown table."""
    with Databases.open(directory) as databases:
        for part in plan.parts:
            print(await _tables(part, directory, databases, plan), end="\n\n", flush=True)


async def _tables(part: Part, directory: Path, databases: Databases, plan: Plan) -> str:
    match part:
        case "ingest":
            return await ingest.tables(
                directory, databases, events=plan.events, of_round=plan.of_round, rounds=plan.rounds
            )
        case "retention":
            return await retention.table(
                directory,
                databases,
                old_rows=plan.old_rows,
                per_s=plan.events_per_s,
                alone_s=plan.alone_s,
            )
        case "past":
            return await past.table(directory, databases, models=plan.models, asked=plan.asked)
