"""A hosted model is evaluated by one command, within the budget that it names."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from commands import Up, up
from eventually import eventually
from providers.replay import Replay, replaying, reply, stream
from vedette.cli.entries import NOTHING_FOUND

pytestmark = pytest.mark.usefixtures("needs_nats")

CONFIG = """
[endpoints.hosted]
provider = "openai-compatible"
url = "{url}"
price = {{ input_usd_per_mtok = 1.0, output_usd_per_mtok = 1.0 }}
"""
WORDS = 'data: {"choices": [{"delta": {"content": "42"}}]}\n'
END = (
    'data: {"choices": [{"delta": {}, "finish_reason": "stop"}], '
    '"usage": {"prompt_tokens": 4000, "completion_tokens": 500}}\n'
)


@pytest.fixture
async def server() -> AsyncIterator[Replay]:
    """Run a service under a frontier name, which counts a call at 0.0045 USD."""
    async with replaying() as replay:
        replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "gpt-4o", "object": "model"}]})
        replay.routes["POST", "/v1/chat/completions"] = stream(WORDS, END, "data: [DONE]\n", pace_s=0.0)
        yield replay


async def test_one_command_evaluates_within_its_budget(server: Replay, tmp_path: Path) -> None:
    """Start-up and doctor say what is missing and what it costs; without a budget nothing is asked."""
    async with up(tmp_path, CONFIG.format(url=server.url)) as running:
        said = await running.line("cost ")
        assert "never evaluated: hosted/gpt-4o (about 0.03 USD, 0.10 if it thinks)" in said
        command = "vedette evaluate --hosted --budget 0.04"
        assert command in said
        assert command in (await running.ask("doctor")).out.replace("\n", " ").replace("  ", " ")
        unasked = await running.ask("evaluate", "--hosted")
        assert unasked.code == 2
        assert "never evaluated" in unasked.err
        too_little = await running.ask("evaluate", "--hosted", "--budget", "0.01")
        assert too_little.code == 2
        assert calls(server) == 0
        done = await running.ask("evaluate", "--hosted", "--budget", "0.06", "--json")
        assert done.code == 0, done.err
        assert (
            "stopped: one more question could have cost more than 0.06 USD"
            in done.json()["jobs"][0]["message"]
        )
        assert 8 <= calls(server) <= 13  # 0.0045 USD each
        assert await eventually(lambda: _nothing_left(running), what="nothing left to evaluate")


async def _nothing_left(running: Up) -> bool:
    return (await running.ask("evaluate", "--hosted", "--budget", "1")).code == NOTHING_FOUND


def calls(server: Replay) -> int:
    return sum(one.method == "POST" for one in server.requests)
