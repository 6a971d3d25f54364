"""The console of `vedette up`: on a real nats-server, as the user that it runs as."""

import json
from pathlib import Path

import httpx

from commands import up
from consoles import form_token
from eventually import eventually
from providers.fake_ollama import fake_ollama

CONFIG = """
[console]
enabled = true

[endpoints.box]
url = "{url}"
benchmark = false
evaluate = false
verify_capabilities = false
"""


async def test_a_page_shows_what_runs_and_starts_jobs(tmp_path: Path) -> None:
    """The address is printed; queries, history, events and jobs go through; nothing is refused by the broker."""
    async with (
        fake_ollama(**{"small:latest": "1"}) as ollama,
        up(tmp_path / "s", CONFIG.format(url=ollama.url)) as running,
    ):
        line = await running.line("console")
        await running.line("ready")
        shown = (await running.ask("console", "--json")).json()
        assert line.split()[1] == shown["url"]
        url, _, token = shown["login_url"].partition("/login#")
        assert url == shown["url"]
        async with httpx.AsyncClient(base_url=url, timeout=60) as browser:
            await eventually(lambda: _listed(browser), what="the model is listed")
            for path in (
                "/",
                "/why/chat",
                "/models?bars=1",
                "/models/box/small:latest",
                "/compare",
                "/endpoints",
            ):
                reply = await browser.get(path)
                assert (reply.status_code, "small:latest" in reply.text or path == "/endpoints") == (
                    200,
                    True,
                )
            assert "found" in (await browser.get("/changes")).text
            uptime = (await browser.get("/api/v1/history/availability?model=box/small:latest")).json()
            assert uptime["model"] == {"endpoint": "box", "name": "small:latest"}
            await browser.post("/login", data={"token": token})
            page = (await browser.get("/endpoints")).text
            asked = {"kind": "probe", "target": "box", "form_token": form_token(page)}
            assert (await browser.post("/work", data=asked)).status_code == 303
            await eventually(lambda: _done(browser), what="the job is done and shown")
            assert token not in (await browser.get("/")).text
        log = "\n".join(running.lines)
        assert token not in log


async def _listed(browser: httpx.AsyncClient) -> bool:
    reply = await browser.get("/api/v1/models")
    return reply.status_code == 200 and json.loads(reply.content)["total"] == 1


async def _done(browser: httpx.AsyncClient) -> bool:
    return "job-done" in (await browser.get("/jobs")).text
