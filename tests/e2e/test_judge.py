"""One command says what a judge would take, and another has the session held; the explanation shows what it found."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eventually import eventually
from providers.replay import Exchange, Replay, Write, replaying, reply, stream
from vedette.runtime.nats_server import NatsServer
from vedette_benchmarker.judging.tasks import SERIES, TEST_PAIRS
from whole import Found, found

JUDGE, FINE, POOR = "gpt-5", "smollm2:135m", "tinyllama"  # as published: clearly better, and two that are not
TASKS = 4
CONFIG = f"""
[evaluating.judge]
tasks = {TASKS}
[endpoints.box]
provider = "openai-compatible"
flavour = "vllm"
url = "{{url}}"
evaluate = false
verify_capabilities = false
[endpoints.dear]
provider = "openai-compatible"
flavour = "vllm"
url = "{{url}}"
evaluate = false
measure = false
verify_capabilities = false
price = {{{{ input_usd_per_mtok = 10, output_usd_per_mtok = 50 }}}}
"""
QUESTION = "Which text does the task better?"


async def _chat(exchange: Exchange, write: Write) -> None:
    prompt = exchange.body["messages"][-1]["content"]
    said = _verdict(prompt) if QUESTION in prompt else f"A text by {exchange.model}."
    delta = json.dumps({"choices": [{"delta": {"content": said}}]})
    end = json.dumps(
        {
            "choices": [{"delta": {}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 2},
        }
    )
    await stream(f"data: {delta}\n", f"data: {end}\n", "data: [DONE]\n")(exchange, write)


def _verdict(prompt: str) -> str:
    """Return what a judge says that knows the pairs of its test, and that one of the models writes better."""
    days = [f"{datetime.now(UTC) - timedelta(days=back):%Y-%m-%d}" for back in (0, 1)]
    pairs = {(pair.good, pair.worse) for day in days for pair in SERIES["summarisation"].test(day)}
    mark = prompt.partition("with the mark ")[2][:12]
    first, second = (
        prompt.partition(f"[{mark} text {name}]\n")[2].partition(f"\n[{mark} end")[0] for name in "AB"
    )
    known = [
        (one, other) in pairs or one == f"A text by {FINE}."
        for one, other in ((first, second), (second, first))
    ]
    return "tie" if known[0] is known[1] else f"Answer: {'AB'[known.index(True)]}"


@pytest.fixture
async def models() -> AsyncIterator[Replay]:
    """Run a server with a judge and two models that write."""
    async with replaying() as replay:
        listed = [{"id": name, "object": "model"} for name in (JUDGE, FINE, POOR)]
        replay.routes["GET", "/v1/models"] = reply(200, {"data": listed})
        replay.routes["POST", "/v1/chat/completions"] = _chat
        yield replay


async def test_a_session_is_planned_held_and_explained(
    models: Replay, server: NatsServer, tmp_path: Path
) -> None:
    """Nothing is asked before the budget is named; without checked answers, what is found is only shown."""
    async with found(CONFIG.format(url=models.url), server, tmp_path / "state") as running:
        await running.knows(6)
        planned = await running.ask("evaluate", "box", "--judge", "summarisation")
        assert planned.code == 0, planned.err
        assert f"summarisation: box/{JUDGE} compares box/{FINE}, box/{POOR}: " in planned.err.replace(
            "\n", " "
        )
        assert judged(models) == 0
        dear = await running.ask("evaluate", "dear", "--judge", "summarisation", "--json")
        assert dear.code == 0, dear.err  # what it would cost, before a budget gives leave
        (plan,) = [told["takes"] for told in dear.json()["sessions"]]
        assert {one["model"]["endpoint"] for one in plan} == {"dear"}
        assert all(one["usd"] > 0 for one in plan)
        held = await running.ask("evaluate", "box", "--judge", "summarisation", "--budget", "0", "--json")
        assert held.code == 0, held.err
        assert judged(models) == 2 * (TEST_PAIRS + 2 * TASKS)
        told = {
            one["model"]["name"]: one["judged"]["judgements"]["summarisation"]
            for one in held.json()["models"]
        }
        assert told[FINE]["wins"] == told[POOR]["losses"] == 2 * TASKS
        assert told[FINE]["strength"] > 0 > told[POOR]["strength"]
        assert told[FINE]["report"]["test"]["successes"] == TEST_PAIRS
        assert await eventually(lambda: _noted(running), what="the explanation shows it")
        shown = await running.ask("evaluate", f"box/{FINE}", "--show")
        assert f"preferred it in {2 * TASKS} of {2 * TASKS}" in shown.out.replace("\n", " ")
        unknown = await running.ask("evaluate", "--judge", "poetry")
        assert unknown.code == 2
        assert "poetry" in unknown.err


async def _noted(running: Found) -> bool:
    told = await running.client.explain("summarisation", unmeasured="keep")
    notes = [
        part.note
        for one in told.recommendations
        for part in one.contributions or ()
        if part.signal == "quality"
    ]
    return any(
        f"judged by box/{JUDGE}" in note and "does not count: no checked answers" in note
        for note in notes
        if note
    )


def judged(models: Replay) -> int:
    return sum(QUESTION in json.dumps(one.body) for one in models.requests)
