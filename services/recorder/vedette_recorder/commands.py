"""The recorder's commands of the command line."""

from cyclopts import App

from vedette.cli import entries
from vedette.cli.entries import Entry


def add(app: App) -> None:
    """Add the recorder's commands to *app*."""
    dead = App(
        name="dead",
        help="List, show, replay and drop dead letters.",
        group=entries.OPERATE,
    )
    entries.add(
        dead,
        Entry(
            "vedette_recorder.dead:list_",
            "List dead letters with their reasons.",
            ("vedette dead list", "vedette dead list --json"),
            name="list",
        ),
        Entry("vedette_recorder.dead:show", "Show a dead letter in full.", ("vedette dead show 0193",)),
        Entry(
            "vedette_recorder.dead:replay",
            "Process dead letters again with this version.",
            ("vedette dead replay --all", "vedette dead replay 0193"),
        ),
        Entry(
            "vedette_recorder.dead:drop",
            "Delete dead letters permanently.",
            ("vedette dead drop 0193",),
        ),
    )
    app.command(dead)
    entries.add(
        app,
        Entry(
            "vedette_recorder.exporting:export",
            "Write recorded history as CSV or JSON lines.",
            (
                "vedette export --table performance --since 7d > performance.csv",
                "vedette export --model gpu/qwen3:8b --json --output probes.jsonl",
            ),
        ),
        Entry(
            "vedette_recorder.migrating:migrate",
            "Create or migrate the tables of the database.",
            ("vedette migrate --config vedette.toml",),
        ),
        Entry(
            "vedette_recorder.rebuilding:rebuild",
            "Restore the last known state into streams that lost it.",
            ("vedette rebuild", "vedette rebuild --config vedette.toml --json"),
        ),
        group=entries.OPERATE,
    )
