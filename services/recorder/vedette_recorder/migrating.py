"""`migrate`: change the tables to this version, before its services run."""

from contextlib import nullcontext
from typing import Annotated

from cyclopts import Parameter

from vedette.cli import options
from vedette.cli.output import document, err, say, waited
from vedette.runtime.loop import run
from vedette.runtime.waiting import insist
from vedette_recorder.errors import DatabaseUnavailable
from vedette_recorder.store import Store


def migrate(
    *,
    wait: Annotated[bool, Parameter(help="Wait for the database while it is away.", negative=())] = False,
    json: options.Json = False,
    config: options.Config = None,
    where: options.Instance = options.HERE,
) -> int:
    """Bring the database's tables up to this version, as the recorder does when it starts. Twice does nothing."""
    return run(_migrate(where.database_of(options.settings(config)), wait=wait, as_json=json))


async def _migrate(url: str, *, wait: bool, as_json: bool) -> int:
    async with Store(url) as store:
        with err.status("bringing the tables up to this version") if err.is_terminal else nullcontext():
            await (insist(store.migrate, waited, passing=(DatabaseUnavailable,)) if wait else store.migrate())
    if as_json:
        document({"migrated": True})
    else:
        say("the tables are as this version needs them")
    return 0
