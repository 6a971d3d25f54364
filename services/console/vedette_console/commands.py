"""The console's commands of the command line."""

from cyclopts import App

from vedette.cli import entries
from vedette.cli.entries import Entry


def add(app: App) -> None:
    """Add the console's commands to *app*."""
    webhooks = App(name="webhooks", help="List and test webhooks.", group=entries.OPERATE)
    entries.add(
        webhooks,
        Entry(
            "vedette_console.webhooks.command:list_",
            "List webhooks: last delivery, failures, events that wait.",
            ("vedette webhooks list", "vedette webhooks list --json"),
            name="list",
        ),
        Entry(
            "vedette_console.webhooks.command:send_test",
            "Send a signed test event to a webhook, and show the reply.",
            ("vedette webhooks test ops", "vedette webhooks test ops --config vedette.toml --json"),
            name="test",
        ),
    )
    app.command(webhooks)
