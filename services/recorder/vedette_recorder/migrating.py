"""`migrate`: bring the tables up to this version before anything of it runs."""

from contextlib import nullcontext

from vedette.cli import options
from vedette.cli.output import document, err, say
from vedette.runtime.loop import run
from vedette_recorder.store import Store


def migrate(
    *, json: options.Json = False, config: options.Config = None, where: options.Instance = options.HERE
) -> int:
    """Bring the database's tables up to this version, as the recorder does when it starts. Twice does nothing."""
    return run(_migrate(where.database_of(options.settings(config)), json))


async def _migrate(url: str, as_json: bool) -> int:
    async with Store(url) as store:
        with err.status("bringing the tables up to this version") if err.is_terminal else nullcontext():
            await store.migrate()
    if as_json:
        document({"migrated": True})
    else:
        say("the tables are as this version needs them")
    return 0
