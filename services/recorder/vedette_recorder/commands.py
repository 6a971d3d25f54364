"""What the recorder adds to the command line. Each command is loaded when it is called."""

from cyclopts import App


def add(app: App) -> None:
    """Add the recorder's commands to *app*."""
    dead = App(name="dead", help="What could not be handled: look at it, try it again, drop it.")
    for name, line in (
        ("list_", "List what could not be handled, and why."),
        ("show", "Show one letter whole."),
        ("replay", "Try letters again, with what this version knows."),
        ("drop", "Delete letters for good."),
    ):
        dead.command(f"vedette_recorder.dead:{name}", name=name.rstrip("_"), help=line)
    app.command(dead)
    app.command(
        "vedette_recorder.exporting:export",
        name="export",
        help="Write recorded history as CSV or JSON lines.",
    )
    app.command(
        "vedette_recorder.rebuilding:rebuild",
        name="rebuild",
        help="Put the last known state back into streams that have lost it.",
    )
