"""An Ollama that answers at once, whose models come and go as a test wants."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from providers.replay import Exchange, Replay, Write, replaying, reply, stream

TEMPLATE = "{{ range .Messages }}{{ .Content }}{{ end }}"


class FakeOllama:
    """Lists `models` (name to digest); loads what is asked to answer, and keeps it unless it `unloads` at once."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        self.url = replay.url
        self.models: dict[str, str] = {}
        self.loaded: set[str] = set()
        self.unloads = False
        replay.routes["GET", "/api/version"] = reply(200, {"version": "0.32.15"})
        replay.routes["GET", "/api/tags"] = self._tags
        replay.routes["GET", "/api/ps"] = self._ps
        replay.routes["POST", "/api/show"] = self._show
        replay.routes["POST", "/api/chat"] = self._chat

    async def _tags(self, exchange: Exchange, write: Write) -> None:
        listed = [
            {"name": name, "model": name, "digest": digest, "size": 100_000_000}
            for name, digest in self.models.items()
        ]
        await reply(200, {"models": listed})(exchange, write)

    async def _ps(self, exchange: Exchange, write: Write) -> None:
        held = [
            {"name": name, "model": name, "digest": self.models.get(name)} for name in sorted(self.loaded)
        ]
        await reply(200, {"models": held})(exchange, write)

    async def _show(self, exchange: Exchange, write: Write) -> None:
        if exchange.model not in self.models:
            await reply(404, {"error": f"model '{exchange.model}' not found"})(exchange, write)
            return
        told = {
            "details": {"family": "llama", "format": "gguf", "parameter_size": "135M"},
            "model_info": {"general.architecture": "llama", "llama.context_length": 8192},
            "capabilities": ["completion"],
            "template": TEMPLATE,
        }
        await reply(200, told)(exchange, write)

    async def _chat(self, exchange: Exchange, write: Write) -> None:
        if not self.unloads:
            self.loaded.add(str(exchange.model))
        wanted = exchange.body["options"]["num_predict"]
        words = [json.dumps({"message": {"content": "word "}, "done": False})] * wanted
        end = {"done": True, "done_reason": "length", "prompt_eval_count": 100, "eval_count": wanted}
        await stream(*words, json.dumps(end), pace_s=0.002)(exchange, write)

    @property
    def tags_asked(self) -> int:
        """How often the models were listed."""
        return sum(1 for request in self.replay.requests if request.path == "/api/tags")


@asynccontextmanager
async def fake_ollama(port: int = 0, /, **models: str) -> AsyncIterator[FakeOllama]:
    """Run one with *models* (name to digest) on *port*, by default a free one."""
    async with replaying(port) as replay:
        made = FakeOllama(replay)
        made.models.update(models)
        yield made
