"""No secret gets further than the request it is for: canaries as keys, at servers that quote what they were sent."""

import base64
import json
from pathlib import Path

import httpx
import pytest

from commands import Up, up, vedette
from eventually import eventually
from providers.replay import Exchange, Handler, Write, replaying, reply
from vedette.bus.bus import Bus
from vedette.bus.stream_configs import streams
from vedette.runtime.nats_server import NatsServer
from vedette.settings import Settings
from vedette_recorder.streams import held as held_by

KEY = "sk-canary-7f3a9c51"
PASSWORD = "canary-5b1e22d0"
HEADER = "canary-header-90ab"
BASIC = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
CANARIES = (KEY, PASSWORD, HEADER, BASIC)
SECRETS = {"CANARY_KEY": KEY, "CANARY_PASSWORD": PASSWORD, "CANARY_HEADER": HEADER, "VEDETTE_LOG": "debug"}
CONFIG = """
[endpoints.quoting]
provider = "openai-compatible"
url = "{url}"
api_key = {{ env = "CANARY_KEY" }}
headers = {{ X-Tenant = {{ env = "CANARY_HEADER" }} }}
answer = "always"

[endpoints.login]
provider = "openai-compatible"
url = "{url}"
basic = {{ user = "me", password = {{ env = "CANARY_PASSWORD" }} }}
answer = "always"

[endpoints.closed]
provider = "openai-compatible"
url = "http://127.0.0.1:1"
api_key = {{ env = "CANARY_KEY" }}
"""


def _quoting(padding: int) -> Handler:
    """Return what refuses, with *padding* and then the request's headers in the refusal, as a proxy does."""

    async def quote(exchange: Exchange, write: Write) -> None:
        said = f"bad request: {'x' * padding} {json.dumps(exchange.headers)}"
        await reply(400, {"error": {"message": said}})(exchange, write)

    return quote


async def _list_quoting(exchange: Exchange, write: Write) -> None:
    """List a model, and more whose names quote what came with the request, in several forms."""
    login = exchange.headers.get("authorization", "").rpartition(" ")[2]
    known = [PASSWORD, BASIC] if login == BASIC else [KEY, HEADER]
    forms = [
        form for it in known for form in (it, it.upper(), it.encode().hex(), f"%{ord(it[0]):02X}{it[1:]}")
    ]
    facts = {"object": "model", "owned_by": known[0], "meta": {"license": known[0]}}
    entries = [{"id": name, **facts} for name in ("m", *(f"n-{form}" for form in forms))]
    await reply(200, {"object": "list", "data": entries}, Server=known[0])(exchange, write)


async def _probed(running: Up) -> str:
    """Return how the models stand, once two have failed a probe."""
    async with running.client() as client:

        async def failed() -> bool:
            return [one.status for one in (await client.models()).models] == ["unsupported"] * 2

        await eventually(failed, what="the failed probes")
    return (await running.ask("models", "--json")).out


@pytest.mark.fault("servers quote secrets back", "I7")
@pytest.mark.parametrize("padding", [pytest.param(0, marks=pytest.mark.lane("faults")), 150])
async def test_no_canary_is_told(padding: int, tmp_path: Path, server: NatsServer, bus: Bus) -> None:
    """In no event, reply, log line, error, metric, table or file; nor the part of one that a cut left."""
    state = tmp_path / "state"
    async with replaying() as replay:
        replay.routes["GET", "/v1/models"] = _list_quoting
        replay.otherwise = _quoting(padding)
        config = CONFIG.format(url=replay.url)
        async with up(state, config, "--nats", server.url("operator"), **SECRETS) as running:
            await running.line("ready")
            told = [await _probed(running)]
            for command in (
                ("benchmark", "quoting/m"),
                ("verify", "login/m"),
                ("evaluate", "quoting/m"),
                ("endpoints", "--json"),
                ("doctor", "--config", str(state.with_suffix(".toml")), "--json"),
                ("explain", "chat", "--json"),
                ("dead", "list", "--json"),
            ):
                ended = await running.ask(*command)
                told += [ended.out, ended.err]
            shown = await vedette("config", "show", "--config", str(state.with_suffix(".toml")), **SECRETS)
            told += [shown.out, shown.err]
            async with httpx.AsyncClient(timeout=60) as http:
                url = running.connection.health_url
                told += [(await http.get(f"{url}/{page}")).text for page in ("metrics/", "readyz", "livez")]
            for config_of_stream in streams(Settings()):
                assert config_of_stream.name is not None
                told += [
                    f"{m.subject} {m.headers} {m.payload!r}"
                    async for m in held_by(bus, config_of_stream.name)
                ]
            assert await running.stop() == 0
            told += [*running.lines, await running.complaints()]

        sent = json.dumps([exchange.headers for exchange in replay.requests])
        assert all(canary in sent for canary in (KEY, HEADER, BASIC)), "no canary was ever sent"
        assert any("***" in text for text in told), "no server's quotation was ever kept"
        # The database, its log beside it, and whatever else was written.
        files = [file for file in state.rglob("*") if file.is_file()]
        assert any(file.suffix == ".db" for file in files)
        told += [file.read_bytes().decode("latin-1") for file in files]
        for canary in (*CANARIES, *(whole[:10] for whole in CANARIES), KEY.upper(), KEY.encode().hex()):
            found = [text[max(0, text.index(canary) - 200) :][:400] for text in told if canary in text]
            assert not found, found[0]
