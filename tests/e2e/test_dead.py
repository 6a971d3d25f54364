"""`vedette dead` and `vedette rebuild` as commands: both places, tables and JSON, and what is asked before a drop."""

from pathlib import Path

from commands import vedette
from vedette.bus.bus import Bus
from vedette.runtime.nats_server import NatsServer
from vedette_recorder.record import Message, dead_letter
from vedette_recorder.store import Store


async def test_letters_are_listed_shown_tried_and_dropped(
    bus: Bus, server: NatsServer, tmp_path: Path
) -> None:
    """One from the database; `--all` and `--yes` where several or final."""
    url = f"sqlite+aiosqlite:///{tmp_path}/vedette.db"
    at = bus.clock.now()
    message = Message(
        stream="MODELS",
        stream_created_at=at,
        sequence=7,
        at=at,
        subject="model.somethingnew.local.m",
        payload=b'{"new": 1}',
    )
    async with Store(url) as store:
        await store.migrate()
        await store.write([dead_letter(message, "of a newer version")])
    file = tmp_path / "vedette.toml"
    file.write_text(f'[database]\nurl = "{url}"\n')
    where = ("--nats", server.url("operator"), "--config", str(file))
    listed = (await vedette("dead", "list", "--json", *where)).json()
    (letter,) = listed["letters"]
    assert (letter["where"], letter["subject"], listed["unread"]) == ("recorder", message.subject, [])
    shown = await vedette("dead", "show", letter["id"][:6], *where)
    assert '"new": 1' in shown.out, shown.err
    tried = await vedette("dead", "replay", "--all", *where)
    assert (tried.code, "0 of 1 done" in tried.out) == (1, True)
    assert (await vedette("dead", "drop", "--all", *where)).code == 1
    dropped = await vedette("dead", "drop", letter["id"], "--yes", "--json", *where)
    assert dropped.json() == {"dropped": [letter["id"]]}
    assert (await vedette("dead", "list", *where)).out == "no dead letters\n"
    rebuilt = await vedette("rebuild", "--json", *where)
    assert rebuilt.json() == {"restored": 0, "present": 0, "outdated": 0}
