"""Callers' keys of a running `vedette up --gateway`: made, used, counted, removed, and never told."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from commands import Up, edit, up, vedette
from eventually import eventually
from providers.fake_ollama import fake_ollama
from providers.replay import Exchange, Write, reply, stream

ENDPOINT_KEY = "sk-canary-51d0aa77c2"
CONFIG = """
[endpoints.gpu]
provider = "ollama"
url = "{url}"
api_key = {{ env = "CANARY_KEY" }}
benchmark = false
evaluate = false
verify_capabilities = false

[gateway]
enabled = true
port = 0

{keys}

[console]
enabled = false
"""


async def quoting(exchange: Exchange, write: Write) -> None:
    """Reply as a proxy does that shows what it was sent; with an error where the request asks for one."""
    said = json.dumps(exchange.headers)
    if exchange.body.get("user") == "failing":
        await reply(500, {"error": {"message": f"bad request: {said}"}}, X_Request_Id=ENDPOINT_KEY)(
            exchange, write
        )
    elif exchange.body.get("stream"):
        first = {"choices": [{"index": 0, "delta": {"content": said}}]}
        last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        events = (f"data: {json.dumps(first)}\n", f"data: {json.dumps(last)}\n", "data: [DONE]\n")
        await stream(*events)(exchange, write)
    else:
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 7, "completion_tokens": 3}
        await reply(200, {"choices": [choice], "usage": usage}, X_Request_Id=ENDPOINT_KEY)(exchange, write)


class Caller:
    """Who sends requests to the gateway of *running* with one key."""

    def __init__(self, running: Up, http: httpx.AsyncClient, key: str) -> None:
        self._url = f"{running.connection.gateway_url}/v1/chat/completions"
        self._http = http
        self._headers = {"Authorization": f"Bearer {key}"}

    async def chat(self, **more: Any) -> httpx.Response:
        """Return the response to a request for the one model there is."""
        body = {"model": "gpu/m:1b", "messages": [{"role": "user", "content": "hi"}], **more}
        return await self._http.post(self._url, json=body, headers=self._headers)

    async def begins(self) -> httpx.Response:
        """Return the first response of the model, once it is known."""

        async def ask() -> httpx.Response | None:
            response = await self.chat()
            return response if response.status_code == 200 else None

        return await eventually(ask, what="a reply of the model")

    async def is_refused(self) -> int:
        """Return when the key is none of the gateway's; return how many requests were accepted before."""
        accepted = 0

        async def ask() -> bool:
            nonlocal accepted
            response = await self.chat()
            accepted += response.status_code == 200
            return response.status_code == 401

        await eventually(ask, what="a refusal of the key")
        return accepted


async def used(running: Up, name: str, requests: int) -> dict[str, Any]:
    """Return what the caller *name* has used, when so many requests are known to the gateway that replies."""

    async def ask() -> dict[str, Any] | None:
        ended = await running.ask("gateway", "usage", "--json")
        callers = {one["name"]: one for one in ended.json()["callers"]} if ended.code == 0 else {}
        found = callers.get(name)
        return found if found and found["used"]["requests"] == requests else None

    return await eventually(ask, what=f"{requests} requests of {name}")


@pytest.mark.fault("a caller's key is removed, and everything is restarted, under the gateway", "I7", "I13")
async def test_keys_work_while_they_are_in_the_configuration(tmp_path: Path) -> None:
    """What they used is known after a restart of everything; no key is in a log, a file, a reply or a metric."""
    made = [
        (await vedette("gateway", "key", name, "--tokens-per-day", "1000", "--json")).json()
        for name in ("team-a", "team-b")
    ]
    keys = [one["key"] for one in made]
    assert all(hashlib.sha256(one["key"].encode()).hexdigest() == one["sha256"] for one in made)
    state, told = tmp_path / "state", list[str]()
    environment = {"CANARY_KEY": ENDPOINT_KEY, "VEDETTE_LOG": "debug"}
    async with (
        fake_ollama(**{"m:1b": "d1"}) as ollama,
        httpx.AsyncClient(timeout=120, trust_env=False) as http,
    ):
        ollama.replay.routes["POST", "/v1/chat/completions"] = quoting
        config = CONFIG.format(url=ollama.url, keys="\n".join(one["toml"] for one in made))
        async with up(state, config, **environment) as running:
            await running.line("ready")
            team_a, team_b = (Caller(running, http, key) for key in keys)
            first = await team_a.begins()
            assert first.headers["x-ratelimit-limit-tokens"] == "1000"
            assert first.headers["x-ratelimit-remaining-tokens"] == "1000"
            responses = [first, await team_a.chat(stream=True), await team_a.chat(user="failing")]
            assert [one.status_code for one in responses] == [200, 200, 502]
            assert all("***" in one.text for one in responses)
            assert first.headers["x-request-id"] == "***"
            assert (await team_b.chat()).status_code == 200
            strangers = [Caller(running, http, key) for key in ("none", "vdt_wrong", keys[0].swapcase())]
            assert [(await one.chat()).status_code for one in strangers] == [401] * 3
            assert (await used(running, "team-b", 1))["used"]["tokens"] == 10
            assert (await used(running, "team-a", 2))["left"]["tokens"] < 1000
            shown = await running.ask("gateway", "usage")
            assert re.search(r"team-b +1 +- +10 +990", shown.out)

            without = CONFIG.format(url=ollama.url, keys=made[1]["toml"])
            edit(state.with_suffix(".toml"), without)
            more = await team_a.is_refused()
            assert (await team_b.chat()).status_code == 200
            assert not (await used(running, "team-a", 2 + more))["known"]
            await used(running, "team-b", 2)

            told += [f"{one.headers} {one.text}" for one in responses]
            told += [shown.out, shown.err]
            told += [(await http.get(f"{running.connection.health_url}/metrics/")).text]
            assert (await team_b.chat()).status_code == 200
            assert await running.stop() == 0  # at once: what is not published yet is published now
            told += [*running.lines, await running.complaints()]
        sent = json.dumps([one.headers for one in ollama.replay.requests])
        assert ENDPOINT_KEY in sent
        assert not [key for key in keys if key in sent]

        async with up(state, without, **environment) as running:
            await running.line("ready")
            await Caller(running, http, keys[1]).begins()
            await used(running, "team-b", 4)
    told += [file.read_bytes().decode("latin-1") for file in state.rglob("*") if file.is_file()]
    assert "vedette_gateway_tokens_total" in "".join(told)
    for secret in (ENDPOINT_KEY, *keys):
        found = [text[max(0, text.index(secret) - 200) :][:400] for text in told if secret in text]
        assert not found, found[0]
