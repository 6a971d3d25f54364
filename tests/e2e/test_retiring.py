"""A model whose service tells its end."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from commands import started, watching
from providers.replay import replaying, reply
from vedette.runtime.nats_server import NatsServer
from whole import found


def listing(ends: datetime) -> Any:
    entry = {"id": "gpt-oss", "owned_by": "vllm", "max_model_len": 4096}
    return reply(200, {"object": "list", "data": [{**entry, "deprecation": f"{ends:%Y-%m-%d}"}]})


async def test_the_end_of_a_model_is_shown_and_its_change_is_told(server: NatsServer, tmp_path: Path) -> None:
    """`models`, `recommend` and `explain` show the date; a new one is a change like any other."""
    ends = datetime.now(UTC) + timedelta(days=40)
    later = ends + timedelta(days=30)
    async with replaying() as service:
        service.routes["GET", "/v1/models"] = listing(ends)
        config = f'[endpoints.box]\nprovider = "openai-compatible"\nurl = "{service.url}"\nmeasure = false\n'
        async with found(config, server, tmp_path / "state") as running:
            await running.knows(1)
            shown = await running.ask("models", "gpt-oss")
            assert f"box/gpt-oss ends on {ends:%Y-%m-%d} by /v1/models" in shown.out
            explained = await running.ask("explain", "chat")
            assert f"box/gpt-oss ends on {ends:%Y-%m-%d} (by its service, or as published)" in explained.out
            best = await running.ask("recommend", "chat", "--json")
            assert best.json()["recommendation"]["retires_at"].startswith(f"{ends:%Y-%m-%d}")
            assert f"ends on {ends:%Y-%m-%d}" in (await running.ask("recommend", "chat")).out

            watch = ("watch", "--event", "changed", "--json", "--state-dir", str(tmp_path / "state"))
            async with started(tmp_path / "state", *watch) as watcher:
                await watching(watcher)
                service.routes["GET", "/v1/models"] = listing(later)
                assert (await running.ask("discover")).code == 0
                event = json.loads(await watcher.line("{"))
    (change,) = event["changes"]
    assert change["field"] == "retires_at"
    assert change["old"].startswith(f"{ends:%Y-%m-%d}")
    assert change["new"].startswith(f"{later:%Y-%m-%d}")
