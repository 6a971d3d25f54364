"""What is read of history: the columns that are told, of one model in one window, oldest first.

Each reads a range of the index over endpoint, model and time, and one row more than may be told, so that
whoever has too many knows.
"""

from typing import Any

import sqlalchemy as sa

from vedette.types import ModelRef
from vedette_recorder.history import Window
from vedette_recorder.tables import model_availability_history as availability
from vedette_recorder.tables import model_performance_history as performance

# A month of probes every five minutes. Reading so many takes an eighth of a second, during which other services
# may share the process.
MOST_ROWS = 10_000


def probes(model: ModelRef, window: Window) -> sa.Select[Any]:
    """Return the query for the rows of `history.Probe`."""
    columns = (availability.c.outcome, availability.c.cause, availability.c.latency_ms)
    return _of(availability, model, window, *columns)


def benchmarks(model: ModelRef, window: Window) -> sa.Select[Any]:
    """Return the query for the rows of `history.Benchmark`."""
    contended = performance.c.figures["contended"].as_integer()  # absent when it is zero
    return _of(
        performance,
        model,
        window,
        performance.c.outcome,
        performance.c.n,
        sa.func.coalesce(contended, 0).label("contended"),
        performance.c.output_tps,
        performance.c.ttft_ms,
        performance.c.ttft_cold_ms,
        performance.c.load_ms,
        performance.c.texts_per_s,
    )


def _of(table: sa.Table, model: ModelRef, window: Window, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
    at = table.c.measured_at
    return (
        sa.select(at, *columns)
        .where(table.c.endpoint == model.endpoint, table.c.model == model.name)
        .where(at >= window.since, at < window.until)
        .order_by(at)
        .limit(MOST_ROWS + 1)
    )
