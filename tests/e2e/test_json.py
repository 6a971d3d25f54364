"""`--json` of every command: one object; of those that print as they go, an object a line."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from cyclopts import App

from commands import Ended, up, vedette
from eventually import eventually
from providers.fake_ollama import fake_ollama
from vedette import Client
from vedette.cli import app
from vedette.runtime.nats_server import NatsServer
from whole import found

CONFIG = """
[schedule]
availability = "1s"
performance = "1h"
quality = "1h"
[endpoints.box]
url = "{url}"
evaluate = false
"""
FACTS = "model,mode,fact,value,date,source\nacme-1,instruct,released,2026-01-01,,acme.example\n"
RATING = '[[quality]]\nmodel = "box/a"\nscore = 0.5\nsource = "a board"\nas_of = 2026-11-01\n'
# In the order in which they run: what they are given, where it is not only --json.
GIVEN: dict[str, tuple[str, ...]] = {
    "contracts": (),
    "config init": ("{tmp}/made.toml",),
    "config check": ("{tmp}/state.toml",),
    "config show": ("{tmp}/state.toml",),
    "agents add": ("bot",),
    "agents list": (),
    "agents remove": ("bot",),
    "gateway key": ("team-a",),
    "discover": (),
    "probe": (),
    "benchmark": (),
    "verify": (),
    "evaluate": ("--show",),
    "models": (),
    "recommend": ("chat", "--unmeasured", "keep"),
    "explain": ("chat",),
    "knowledge show": ("gpt-5",),
    "knowledge update": ("{tmp}/facts.csv",),
    "history": (),
    "watch": ("--seconds", "2"),
    "report": ("box/a",),
    "quality import": ("{tmp}/ratings.toml",),
    "quality list": (),
    "endpoints": (),
    "endpoints pause": ("box",),
    "endpoints resume": ("box",),
    "endpoints edit": ("box", "--set", "timeout_s=9"),
    "endpoints history": ("box",),
    "endpoints export": (),
    "endpoints restore": ("box",),
    "endpoints add": ("far", "--url", "http://127.0.0.1:9", "--unchecked"),
    "endpoints remove": ("far",),
    "doctor": (),
    "webhooks list": (),
    "provision": (),
    "migrate": (),
    "export": (),
    "rebuild": (),
    "dead list": (),
    "dead show": ("0193",),
    "dead replay": ("--all",),
    "dead drop": ("--all", "--yes"),
}
LINES = {"watch", "export"}
WITHOUT_A_STATE_DIRECTORY = {"contracts", "config init", "config check", "config show", "gateway key"}
SILENT = {"dead show"}  # there is none to show: said on standard error
# tests/e2e/test_demo.py, test_console.py, test_webhooks.py, test_gateway_keys.py
ELSEWHERE = {"demo", "console", "webhooks test", "gateway usage"}


def _with_json(of: App, *path: str) -> set[str]:
    found: set[str] = set()
    for name in of:
        if name.startswith("-"):
            continue
        command, whole = of[name], (*path, name)
        found |= _with_json(command, *whole)
        if command.default_command is not None and "--json" in [
            one.name for one in command.assemble_argument_collection()
        ]:
            found.add(" ".join(whole))
    return found


async def test_every_command_prints_objects(tmp_path: Path) -> None:
    """Against a running Vedette; a command that is added must be added here."""
    assert _with_json(app) == set(GIVEN) | ELSEWHERE
    (tmp_path / "ratings.toml").write_text(RATING)
    (tmp_path / "facts.csv").write_text(FACTS)
    async with (
        fake_ollama(a="1") as ollama,
        up(tmp_path / "state", CONFIG.format(url=ollama.url)) as running,
    ):
        await running.line("ready")

        async with running.client() as client:
            await eventually(lambda: _probed(client), what="the model was probed")
        for name, given in GIVEN.items():
            arguments = [*name.split(), *(part.format(tmp=tmp_path) for part in given), "--json"]
            ask = partial(vedette if name in WITHOUT_A_STATE_DIRECTORY else running.ask, *arguments)
            # What is printed as it happens may not have happened yet.
            ended = await (eventually(lambda ask=ask: _said(ask), what=name) if name in LINES else ask())
            documents = ended.out.splitlines() if name in LINES else [ended.out] if ended.out else []
            assert documents or name in SILENT, f"{name}: {ended}"
            for document in documents:
                assert isinstance(json.loads(document), dict), f"{name}: {document}"


async def _probed(client: Client) -> bool:
    models = (await client.models()).models
    return bool(models) and all(one.availability for one in models)


async def _said(ask: Callable[[], Awaitable[Ended]]) -> Ended | None:
    ended = await ask()
    return ended if ended.out else None


async def test_nothing_found_is_an_object_too(server: NatsServer, tmp_path: Path) -> None:
    """Nothing to measure, and no candidate."""
    async with found('[endpoints.none]\nurl = "http://127.0.0.1:1"\n', server, tmp_path / "state") as running:
        for arguments in (
            ("benchmark",),
            ("models",),
            ("recommend", "chat"),
            ("history", "--use-case", "chat"),
        ):
            ended = await running.ask(*arguments, "--json")
            assert ended.code == 3, (arguments, ended)
            assert isinstance(ended.json(), dict)
