"""The gateway's commands of the command line."""

from cyclopts import App

from vedette.cli import entries
from vedette.cli.entries import Entry


def add(app: App) -> None:
    """Add the gateway's commands to *app*."""
    gateway = App(
        name="gateway",
        help="Make keys for callers of the OpenAI-compatible API, and show what they use.",
        group=entries.OPERATE,
    )
    entries.add(
        gateway,
        Entry(
            "vedette_gateway.administering:key",
            "Make a key for a caller, and print its entry for the configuration.",
            (
                "vedette gateway key team-a",
                "vedette gateway key team-a --use-case chat --tokens-per-day 1000000 --usd-per-day 5",
            ),
        ),
        Entry(
            "vedette_gateway.administering:usage",
            "Show what each caller has used today, and what is left of its budgets.",
            ("vedette gateway usage", "vedette gateway usage --json"),
        ),
    )
    app.command(gateway)
