"""`vedette export`: what was recorded comes out whole, in order, from either database."""

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from samples import benchmark_event, lifecycle_event, probe_event, recorded_rows
from vedette.errors import ConfigurationError
from vedette.messages.events import Event
from vedette.types import ModelRef
from vedette_recorder import exporting
from vedette_recorder.store import Store

pytest_plugins = ("database",)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MODEL, OTHER = ModelRef("local", "a,b"), ModelRef("local", "other")
HOUR = timedelta(hours=1)


@pytest.fixture
def config(url: str, tmp_path: Path) -> str:
    """Return a configuration that names the database."""
    file = tmp_path / "vedette.toml"
    file.write_text(f'[database]\nurl = "{url}"\n')
    return str(file)


@pytest.fixture
async def recorded(store: Store) -> None:
    """Record probes of two models, the later ones first, and a benchmark."""
    events: list[Event] = [
        *(probe_event(MODEL, at=NOW + n * HOUR, job_id=str(n)) for n in range(3, 0, -1)),
        probe_event(OTHER, at=NOW, job_id="o"),
        benchmark_event(MODEL, at=NOW, tps=40.0),
        lifecycle_event("found", MODEL, at=NOW),
    ]
    await store.write(recorded_rows(events, at=NOW + 3 * HOUR))


@pytest.mark.usefixtures("recorded")
def test_lines_of_json(config: str, tmp_path: Path) -> None:
    """One model in one window, oldest first; times in UTC, and what is JSON is JSON."""
    into = tmp_path / "out.jsonl"
    code = exporting.export(
        format="jsonl", model="local/a,b", since="2026-11-23T14:00", output=into, config=config
    )
    lines = [json.loads(line) for line in into.read_text().splitlines()]
    assert code == 0
    assert [line["measured_at"] for line in lines] == ["2026-11-23T14:00:00Z", "2026-11-23T15:00:00Z"]
    assert {line["model"] for line in lines} == {"a,b"}
    exporting.export(table="performance", format="jsonl", output=into, config=config)
    (line,) = [json.loads(line) for line in into.read_text().splitlines()]
    assert line["figures"]["output_tps"]["median"] == 40.0
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.jsonl"]


@pytest.mark.usefixtures("recorded")
def test_csv(config: str, tmp_path: Path) -> None:
    """With a line of names; commas in a name do no harm, and what is not known is empty."""
    into = tmp_path / "out.csv"
    exporting.export(until="2026-11-23T14:00Z", output=into, config=config)
    with into.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["measured_at"]) for row in rows] == [
        ("other", "2026-11-23T12:00:00Z"),
        ("a,b", "2026-11-23T13:00:00Z"),
    ]
    assert rows[0]["latency_ms"] == ""
    exporting.export(table="models", output=into, config=config)
    with into.open(newline="") as file:
        (model,) = csv.DictReader(file)
    assert json.loads(model["info"])["model"] == {"endpoint": "local", "name": "a,b"}


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("table", exporting.TABLES)
def test_every_table_can_be_exported(config: str, tmp_path: Path, table: exporting.Name) -> None:
    """Even one without rows: then there are the names alone."""
    into = tmp_path / "out.csv"
    assert exporting.export(table=table, output=into, config=config) == 0
    with into.open(newline="") as file:
        assert next(csv.reader(file)) == [column.name for column in exporting.TABLES[table].columns]


@pytest.mark.usefixtures("store")
def test_a_file_that_was_there_stays_when_it_cannot_be_done(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no database is made where there is none."""
    file, into = tmp_path / "gone.toml", tmp_path / "out.csv"
    into.write_text("before")
    file.write_text(f'[database]\nurl = "sqlite+aiosqlite:///{tmp_path}/gone.db"\n')
    with pytest.raises(ConfigurationError, match="there is no file"):
        exporting.export(output=into, config=str(file))
    assert into.read_text() == "before"
    assert not (tmp_path / "gone.db").exists()
    file.write_text(f'[database]\nurl = "{url}"\n')
    with pytest.raises(ConfigurationError, match="--output"):
        exporting.export(output=tmp_path / "no" / "out.csv", config=str(file))
    with pytest.raises(ConfigurationError, match="not about a model"):
        exporting.export(table="endpoints", model="a/b", output=into, config=str(file))
