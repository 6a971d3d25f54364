"""Webhooks as an operator sets them up: the receiver of the documentation, the commands, and what goes wrong."""

import asyncio
import base64
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from commands import up, vedette
from eventually import eventually
from providers.fake_ollama import fake_ollama

PAGE = Path(__file__).parents[2] / "docs" / "webhooks.md"
CONFIG = """
[console]
enabled = true
[endpoints.box]
url = "{ollama}"
benchmark = false
verify_capabilities = false
evaluate = false
[[webhooks]]
name = "ops"
url = "http://127.0.0.1:{port}/hook?token=t0p"
secret = {{ file = "{secret}" }}
events = ["model.found"]
"""


@asynccontextmanager
async def receiver(secret: str, port: int) -> AsyncIterator[asyncio.StreamReader]:
    """Run the receiver that the page shows; give what it prints."""
    match = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert match is not None
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        match[1].replace("8099", str(port)),
        env={**os.environ, "OPS_WEBHOOK_SECRET": secret},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            await process.stdout.readuntil(b"waiting for events\n")
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


async def test_the_receiver_of_the_page_takes_events_and_the_commands_say_so(
    tmp_path: Path, port: int
) -> None:
    """And while it is away, they say that; nothing shows the path of its URL or the secret."""
    secret = "whsec_" + base64.b64encode(os.urandom(32)).decode()
    (tmp_path / "secret").write_text(secret)
    async with fake_ollama(**{"small:latest": "1"}) as ollama:
        config = CONFIG.format(ollama=ollama.url, port=port, secret=tmp_path / "secret")
        async with receiver(secret, port) as printed, up(tmp_path / "state", config) as running:
            await running.line("ready")
            async with asyncio.timeout(120):
                assert b"model.found" in await printed.readline()
            tested = await running.ask("webhooks", "test", "ops", "--json")
            assert tested.code == 0, tested
            assert tested.json()["status"] == 204
            async with asyncio.timeout(60):
                assert b"webhook.test" in await printed.readline()

            async def listed() -> bool:
                (ops,) = (await running.ask("webhooks", "list", "--json")).json()["webhooks"]
                return (ops["state"], ops["pending"], ops["receiver"]) == (
                    "delivering",
                    0,
                    f"http://127.0.0.1:{port}",
                )

            await eventually(listed, what="the delivery is listed")
            doctor = await running.ask("doctor")
            assert "webhook ops" in doctor.out
            shown = await vedette("config", "show", str(tmp_path / "state.toml"))
            for said in (doctor.out, shown.out, tested.out, *running.lines):
                assert "t0p" not in said
                assert secret not in said
            unknown = await running.ask("webhooks", "test", "nope")
            assert (unknown.code, "known: ops" in unknown.err) == (2, True)
    away = await vedette("webhooks", "test", "ops", "--config", str(tmp_path / "state.toml"))
    assert away.code == 1
    assert "nothing listens" in away.err
