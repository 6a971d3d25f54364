"""What the recorder adds to the command line."""

from cyclopts import App

from vedette.cli import entries
from vedette.cli.entries import Entry


def add(app: App) -> None:
    """Add the recorder's commands to *app*."""
    dead = App(
        name="dead",
        help="What could not be handled: look at it, try it again, drop it.",
        group=entries.OPERATE,
    )
    entries.add(
        dead,
        Entry(
            "vedette_recorder.dead:list_",
            "List what could not be handled, and why.",
            ("vedette dead list", "vedette dead list --json"),
            name="list",
        ),
        Entry("vedette_recorder.dead:show", "Show one letter whole.", ("vedette dead show 0193",)),
        Entry(
            "vedette_recorder.dead:replay",
            "Try letters again, with what this version knows.",
            ("vedette dead replay --all", "vedette dead replay 0193"),
        ),
        Entry(
            "vedette_recorder.dead:drop",
            "Delete letters for good.",
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
            "Bring the database's tables up to this version.",
            ("vedette migrate --config vedette.toml",),
        ),
        Entry(
            "vedette_recorder.rebuilding:rebuild",
            "Put the last known state back into streams that have lost it.",
            ("vedette rebuild", "vedette rebuild --config vedette.toml --json"),
        ),
        group=entries.OPERATE,
    )
