"""The configuration of a running `vedette up` is edited."""

import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks.crowd import OllamaServer
from commands import Up, up
from eventually import eventually

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

    async def ask() -> bool:
        models = (await running.ask("models", "--json")).json()["models"]
        return Counter(model["model"]["endpoint"] for model in models) == dict.fromkeys(endpoints, MODELS)

    await eventually(ask, within_s=120, what=f"models of {endpoints}")


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
        file.write_text(changed)
        await running.line("config    reloaded: endpoint two added; schedule.availability 30m -> 2s")
        await there(running, "one", "two")
        assert (await running.ask("recommend", "mine", "--json")).code == 0

        file.write_text(changed + "nonsense = 1\n")
        refused = await running.line("config    refused")
        assert "nonsense" in refused
        findings = (await running.ask("doctor", "--json")).json()["findings"]
        (finding,) = [one for one in findings if one["what"] == "configuration in force"]
        assert "nonsense" in finding["seen"]
        await there(running, "one", "two")

        file.write_text(endpoint("two", url) + "[nats]\nexpected_models = 10\n")
        running.send(signal.SIGHUP)
        running.send(signal.SIGHUP)
        await running.line("config    needs a restart: nats.expected_models")
        await there(running, "two")
        await running.lives()
        assert await running.stop() == 0
