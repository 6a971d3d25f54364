"""The configuration of a running `vedette up` is edited."""

import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from benchmarks.crowd import OllamaServer
from commands import Up, edit, up
from eventually import eventually
from providers.fake_ollama import fake_ollama
from vedette.messages.queries import ModelView
from vedette.types import ModelRef

MODELS = 2


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Run a model server; yield its URL."""
    ollama = OllamaServer(models=MODELS, latency_s=0, at_once=64, counts=Counter())
    async with ollama.listening() as url:
        yield url


def endpoint(name: str, url: str) -> str:
    return f'[endpoints.{name}]\nurl = "{url}"\nbenchmark = false\nevaluate = false\nverify_capabilities = false\n'


async def there(running: Up, *endpoints: str) -> None:
    """Wait until the models are those of *endpoints*."""
    async with running.client() as client:

        async def ask() -> bool:
            models = (await client.models()).models
            return Counter(one.model.endpoint for one in models) == dict.fromkeys(endpoints, MODELS)

        await eventually(ask, what=f"models of {endpoints}")


@pytest.mark.fault("the configuration edited, broken and corrected while Vedette runs", "I5", "I13")
async def test_the_file_is_edited_while_up_runs(tmp_path: Path, url: str) -> None:
    """Endpoints, schedule and use cases change without a restart; a broken file changes nothing and is told of."""
    file = tmp_path / "state.toml"
    first = endpoint("one", url)
    async with up(tmp_path / "state", first) as running:
        await running.line("ready")
        await there(running, "one")

        changed = (
            first + endpoint("two", url) + '[schedule]\navailability = "2s"\n'
            "[recommend.use_cases.mine]\nweights = { speed = 1 }\n"
        )
        edit(file, changed)
        await running.line("config    reloaded: endpoint two added; schedule.availability 30m -> 2s")
        await there(running, "one", "two")
        assert sum("reloaded" in line for line in running.lines) == 1  # nothing before the file was edited
        assert (await running.ask("recommend", "mine", "--json")).code == 0

        edit(file, changed + "nonsense = 1\n")
        refused = await running.line("config    refused")
        assert "nonsense" in refused
        findings = (await running.ask("doctor", "--json")).json()["findings"]
        (finding,) = [one for one in findings if one["what"] == "configuration in force"]
        assert "nonsense" in finding["seen"]
        await there(running, "one", "two")

        edit(file, endpoint("two", url) + "[nats]\nexpected_models = 10\n")
        running.send(signal.SIGHUP)
        running.send(signal.SIGHUP)
        await running.line("config    needs a restart: nats.expected_models")
        await there(running, "two")
        await running.lives()
        assert await running.stop() == 0


async def test_an_endpoint_is_renamed_while_up_runs(tmp_path: Path) -> None:
    """Its models are recommended by the new name at once, with their figures; no measurement is paid again."""
    file = tmp_path / "state.toml"
    config = (
        '[endpoints.{}]\nprovider = "ollama"\nurl = "{}"\nevaluate = false\nverify_capabilities = false\n'
        "[benchmarking]\nruns = 1\noutput_tokens = 16\n"
    )
    async with (
        fake_ollama(**{"m:1b": "d1"}) as ollama,
        up(tmp_path / "state", config.format("gpu", ollama.url)) as running,
        AsyncExitStack() as stack,
    ):

        def calls() -> int:
            return sum(request.path == "/api/chat" for request in ollama.replay.requests)

        await running.line("ready")
        client = await stack.enter_async_context(running.client())

        async def model() -> ModelView | None:
            models = (await client.models()).models
            whole = len(models) == 1 and models[0].performance and models[0].availability
            return models[0] if whole else None

        measured = await eventually(model, what="measured")
        assert measured is not None
        asked = calls()

        edit(file, config.format("gpu-box", ollama.url))
        running.send(signal.SIGHUP)
        await running.line("config    reloaded: endpoint gpu renamed gpu-box")
        await running.line("renamed   gpu/m:1b is gpu-box/m:1b now")

        async def recommended() -> bool:
            best = (await client.best("chat")).recommendation
            return best is not None and best.model.endpoint == "gpu-box"

        async def recorded() -> bool:
            return bool((await client.history_availability("gpu-box/m:1b")).probes)

        await eventually(recommended, what="recommended by its new name")
        await eventually(recorded, what="its history under the new name")
        now = await model()
        assert now is not None
        assert (now.performance, now.found_at) == (measured.performance, measured.found_at)
        assert now.formerly == now.measured_as == ModelRef("gpu", "m:1b")
        assert "gpu-box/m:1b: measured as gpu/m:1b" in (await running.ask("models")).out
        assert "gpu-box/m:1b: measured as gpu/m:1b" in (await running.ask("explain", "chat")).out
        assert calls() == asked
        assert not [line for line in running.lines if line.startswith("lost")]
        assert await running.stop() == 0
