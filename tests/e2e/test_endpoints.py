"""Endpoints that are changed while `vedette up` runs: by commands and by the console, on a real nats-server."""

import re
import signal
import tomllib
from pathlib import Path

import httpx
import pytest

from commands import Up, up
from consoles import form_token
from eventually import eventually
from providers.fake_ollama import fake_ollama
from vedette.cli.entries import NOTHING_FOUND
from vedette.settings import parse

FILED = """
[endpoints.filed]
url = "{url}"
benchmark = false
evaluate = false
verify_capabilities = false
"""
QUIET = ("--set", "benchmark=false", "--set", "evaluate=false", "--set", "verify_capabilities=false")


async def models(running: Up) -> set[str]:
    """Return the models that are known."""
    told = await running.ask("models", "--json")
    assert told.code in (0, NOTHING_FOUND), told
    return {f"{one['model']['endpoint']}/{one['model']['name']}" for one in told.json()["models"]}


async def until_known(running: Up, *names: str) -> None:
    """Wait until these models are known and no others."""
    async with running.client() as client:

        async def known() -> bool:
            return {str(one.model) for one in (await client.models()).models} == set(names)

        await eventually(known, what=f"known: {names}")


async def best(running: Up) -> str | None:
    """Return the model that is recommended for chat."""
    told = await running.ask("recommend", "chat", "--unmeasured", "keep", "--json")
    found = told.json()["recommendation"]
    return f"{found['model']['endpoint']}/{found['model']['name']}" if found else None


@pytest.mark.lane("faults")
@pytest.mark.fault("kill -9 while endpoints are defined at run time alone", "I5")
async def test_an_endpoint_is_added_survives_kill_9_and_is_removed(tmp_path: Path) -> None:
    """Found and recommended without a restart; after the kill nothing is lost, and what is exported is the same set."""
    state = tmp_path / "state"
    async with fake_ollama(a="1") as filed, fake_ollama(b="2") as added:
        config = FILED.format(url=filed.url)
        async with up(state, config) as running:
            await running.line("ready")
            await until_known(running, "filed/a")
            said = await running.ask("endpoints", "add", "box", "--url", added.url, "--by", "anna", *QUIET)
            assert said.code == 0, said
            assert "with 1 model (ollama 0.32.15)\nbox: added\n" in said.out
            await until_known(running, "filed/a", "box/b")
            assert (await running.ask("endpoints", "pause", "filed", "--for", "2h", "--by", "bob")).code == 0

            async def box_is_best() -> bool:
                return await best(running) == "box/b"

            await eventually(box_is_best, what="the model of the added endpoint recommended")
            await running.stop(signal.SIGKILL)
        async with up(state, config) as running:
            await running.line("ready")
            listed = (await running.ask("endpoints", "--json")).json()
            origins = {one["endpoint"]: one["origin"] for one in listed["endpoints"]}
            assert origins["box"]["by"] == "anna"
            assert origins["filed"]["paused"]["by"] == "bob"
            exported = await running.ask("endpoints", "export", "--all")
            assert exported.code == 0
            parsed = parse(tomllib.loads(exported.out), where="exported", environ={})
            assert {name: one.url for name, one in parsed.endpoints.items()} == {
                "filed": filed.url,
                "box": added.url,
            }
            assert not parsed.endpoints["box"].benchmark
            assert await models(running) == {"filed/a", "box/b"}
            assert not [line for line in running.lines if line.startswith("lost")]
            assert (await running.ask("endpoints", "remove", "box", "--reason", "moved")).code == 0
            await until_known(running, "filed/a")
            told = (await running.ask("endpoints", "history", "box")).out
            assert re.search(r"anna \(command line\) +add", told)
            assert "moved" in told


async def test_the_console_changes_endpoints_and_no_agent_does(tmp_path: Path) -> None:
    """The console's user of NATS may define endpoints, and only that; an agent's login may not."""
    async with (
        fake_ollama(a="1") as ollama,
        up(
            tmp_path / "s", "[console]\nenabled = true\n[endpoints.other]\nurl = 'http://127.0.0.1:9'\n"
        ) as running,
    ):
        url = (await running.line("console")).split()[1]
        await running.line("ready")
        agent = await running.ask(
            "endpoints", "add", "mine", "--url", ollama.url, "--nats", running.connection.nats_url
        )
        assert agent.code == 2
        assert "this login may not change endpoints" in agent.err
        shown = (await running.ask("console", "--json")).json()
        token = shown["login_url"].partition("#")[2]
        async with httpx.AsyncClient(base_url=url, timeout=60) as browser:
            await browser.post("/login", data={"token": token})
            page = (await browser.get("/define")).text
            added = {
                "form_token": form_token(page),
                "sequence": "0",
                "action": "add",
                "endpoint": "box",
                "provider": "ollama",
                "url": ollama.url,
                "settings": "benchmark = false\nevaluate = false",
            }
            assert (await browser.post("/define", data=added)).headers["location"] == "/endpoints"
            assert 'id="box"' in (await browser.get("/endpoints")).text
            await until_known(running, "box/a")
            again = await browser.post("/define", data={**added, "action": "edit"})
            assert again.status_code == 400
            assert "was changed meanwhile by console (add, " in again.text
