"""`vedette doctor` names cause and remedy of what people meet when they point Vedette at a server."""

import re
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from msgspec import Struct

from commands import vedette
from eventually import eventually
from providers.replay import Handler, replaying, reply
from vedette.runtime.nats_server import NatsServer
from whole import Found, found

PAGE = "<!DOCTYPE html><html><head><title>Guest Wi-Fi</title></head><body>Accept our terms</body></html>"
QUOTA = {
    "error": {
        "message": "You exceeded your current quota, please check your plan and billing details.",
        "code": "insufficient_quota",
    }
}
BALANCE = {"error": {"message": "Your credit balance is too low to access the Anthropic API."}}
COUNTRY = {"error": {"message": "Country, region, or territory not supported"}}
LISTING = reply(200, {"object": "list", "data": [{"id": "m", "owned_by": "vllm"}]})


class Wrong(Struct, frozen=True):
    """A server, how its URL begins, and what must be said of it, as patterns."""

    handler: Handler
    seen: str
    remedy: str
    scheme: str = "http"
    tls: bool = False


WRONG = {
    "wrong-path": Wrong(
        reply(404, {"detail": "Not Found"}), r"404: Not Found \(GET /v1/models\)", "check the path"
    ),
    "moved": Wrong(
        reply(301, Location="https://models.example.com/llm/v1/models"),
        "redirects to https://models.example.com/llm/v1/models",
        r'^set url = "https://models\.example\.com/llm"$',
    ),
    "moved-by-path": Wrong(
        reply(308, Location="/llm/v1/models"),
        "redirects to /llm/v1/models, which",
        r'^set url = "http://127\.0\.0\.1:\d+/llm"$',
    ),
    "tunnel": Wrong(
        reply(530, "error code: 1033"), "530: error code: 1033", "tunnel in front of the server has no"
    ),
    "web-ui": Wrong(
        reply(200, PAGE.replace("Guest Wi-Fi", "Open WebUI")), "titled 'Open WebUI'", "add /api to its url"
    ),
    "xml": Wrong(
        reply(200, "<?xml version='1.0'?><Error><Message>Access Denied</Message></Error>"),
        "is XML titled 'Access Denied'",
        "check url and provider",
    ),
    "portal": Wrong(reply(200, PAGE), "HTML page titled 'Guest Wi-Fi'", "a login page, a proxy"),
    "portal-redirects": Wrong(
        reply(302, PAGE, Location="http://login.example.com/?from=x"),
        "redirects to http://login.example.com/, which",
        "login page",
    ),
    "no-credit": Wrong(
        reply(402, {"error": {"message": "Insufficient credits"}}), "402: Insufficient", "add credit"
    ),
    "no-quota": Wrong(reply(429, QUOTA), "429: You exceeded", "add credit"),
    "no-balance": Wrong(reply(400, BALANCE), "400: Your credit balance", "add credit"),
    "policy": Wrong(reply(403, COUNTRY), "403: Country", "another region"),
    "no-key": Wrong(reply(401, {"error": {"message": "Incorrect API key"}}), "401: Incorrect", "api_key"),
    "another-program": Wrong(
        reply(200, {"name": "grafana"}), "did not list models", "check url and provider"
    ),
    "https-on-plain": Wrong(
        LISTING, "plain HTTP|no connection|did not answer the TLS handshake", "write http://", scheme="https"
    ),
    "http-on-tls": Wrong(LISTING, "broke off", "write https://", tls=True),
    "self-signed": Wrong(
        LISTING, "certificate is not trusted", "ca_file, or set verify = false", "https", tls=True
    ),
}


@asynccontextmanager
async def served(wrong: Wrong, certificate: trustme.LeafCert) -> AsyncIterator[str]:
    """Run a server of *wrong*; yield the URL that a person gave."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if wrong.tls else None
    if context:
        certificate.configure_cert(context)
    async with replaying(tls=context) as replay:
        replay.otherwise = wrong.handler
        yield f"{wrong.scheme}://{replay.url.partition('://')[2]}"


async def test_every_wrong_server_has_a_cause_and_a_remedy(tmp_path: Path) -> None:
    """Each in a line or two; the cause names the URL."""
    certificate = trustme.CA().issue_cert("127.0.0.1")
    async with AsyncExitStack() as stack:
        urls = {
            name: await stack.enter_async_context(served(wrong, certificate)) for name, wrong in WRONG.items()
        }
        file = tmp_path / "vedette.toml"
        file.write_text(
            "".join(
                f'[endpoints.{name}]\nprovider = "openai-compatible"\nurl = "{url}"\ntimeout_s = 20\n'
                for name, url in urls.items()
            )
            + '[endpoints.no-secret]\nurl = "http://127.0.0.1:1"\napi_key = { env = "VEDETTE_TEST_UNSET" }\n'
        )
        ended = await vedette(
            "doctor", "--json", "--config", str(file), "--state-dir", str(tmp_path / "state")
        )
    assert ended.code == 1
    findings = {finding["what"]: finding for finding in ended.json()["findings"]}
    assert "VEDETTE_TEST_UNSET is not set" in findings["endpoint no-secret"]["seen"]
    for name, wrong in WRONG.items():
        finding = findings[f"endpoint {name}"]
        assert not finding["ok"], name
        assert finding["seen"].startswith(urls[name]), finding
        assert re.search(wrong.seen, finding["seen"]), finding
        assert re.search(wrong.remedy, finding["remedy"]), finding
        assert "\n" not in finding["seen"] + finding["remedy"]
        assert len(finding["seen"]) + len(finding["remedy"]) < 300, finding


@pytest.mark.fault("a service lists its models and refuses every call for lack of credit", "I5")
async def test_models_that_the_account_cannot_call_are_named(server: NatsServer, tmp_path: Path) -> None:
    """The listing succeeds; the last probe of each model tells."""
    async with replaying() as replay:
        replay.routes["GET", "/v1/models"] = LISTING
        replay.otherwise = reply(429, QUOTA)
        config = (
            f'[endpoints.paid]\nprovider = "openai-compatible"\nurl = "{replay.url}"\nanswer = "always"\n'
        )
        async with found(config, server, tmp_path / "state") as running:

            async def named() -> Any:
                await running.ask("probe")  # one beside a benchmark asks for no answer
                told = (await running.ask("doctor", "--json")).json()["findings"]
                return [finding for finding in told if finding["what"] == "models of paid"]

            (finding,) = await eventually(named)
    assert not finding["ok"]
    assert finding["seen"].startswith("paid/m: HTTP 429: You exceeded your current quota")
    assert "add credit" in finding["remedy"]


@pytest.mark.fault(
    "probes ask a paid service for no answer, and a measurement meets an account without credit", "I5"
)
async def test_what_a_measurement_was_refused_for_is_named(server: NatsServer, tmp_path: Path) -> None:
    """The listing succeeds and probes only describe: the recorded measurement tells."""
    unverified = {"error": {"message": "Your organization must be verified to use the model `m`."}}
    async with replaying() as broke, replaying() as unknown:
        config = ""
        for name, service, refusal in (
            ("broke", broke, reply(402, {"error": {"message": "Insufficient credits"}})),
            ("unknown", unknown, reply(403, unverified)),
        ):
            service.routes["GET", "/v1/models"] = LISTING
            service.otherwise = refusal
            config += f'[endpoints.{name}]\nprovider = "openai-compatible"\nurl = "{service.url}"\n'
            config += 'answer = "never"\nbenchmark = false\nverify_capabilities = false\nevaluate = false\n'
        async with found(config, server, tmp_path / "state") as running:
            await eventually(lambda: _benchmarked(running), what="two refused benchmarks")
            told = (await running.ask("doctor", "--json")).json()["findings"]
            alone = await running.ask("doctor", "broke/m")
    findings = {finding["what"]: finding for finding in told}
    assert re.match(
        r"broke/m: HTTP 402: Insufficient credits \(benchmark of ", findings["models of broke"]["seen"]
    )
    assert "add credit" in findings["models of broke"]["remedy"]
    assert "a verified account" in findings["models of unknown"]["remedy"]
    assert "add credit at the service" in alone.out


async def _benchmarked(running: Found) -> bool:
    """Benchmark both, and return whether both measurements are told."""
    await running.ask("benchmark", "broke/m", "unknown/m")
    models = (await running.ask("models", "--json")).json()["models"]
    return len(models) == 2 and all(model["last_call"] for model in models)


@pytest.mark.parametrize(
    ("nats", "seen", "remedy"),
    [
        (
            'url = "nats://127.0.0.1:1"',
            "nats://127.0.0.1:1: no NATS server listens there",
            "start NATS there",
        ),
        ('url = "nats://nats.invalid:4222"', "nats.invalid:4222: no NATS server answers", "correct url"),
        (
            'url = "nats://127.0.0.1:1"\npassword = { env = "VEDETTE_TEST_UNSET" }\nuser = "u"',
            "nats.password: the environment variable VEDETTE_TEST_UNSET is not set",
            "set the missing variable or file",
        ),
    ],
)
@pytest.mark.fault("doctor is asked where the configured NATS server cannot be used", "I5")
async def test_a_nats_server_that_cannot_be_used_has_a_cause_and_a_remedy(
    nats: str, seen: str, remedy: str, tmp_path: Path
) -> None:
    """Beside what else is wrong, in both forms; that no Vedette runs here says nothing of the cause."""
    file = tmp_path / "vedette.toml"
    file.write_text(f'[endpoints.a]\nurl = "http://127.0.0.1:1"\n[nats]\n{nats}\n')
    where = ("--config", str(file), "--state-dir", str(tmp_path / "state"))
    ended = await vedette("doctor", "--json", *where)
    assert ended.code == 1
    (finding,) = [finding for finding in ended.json()["findings"] if finding["what"] == "NATS"]
    assert not finding["ok"]
    assert seen in finding["seen"]
    assert remedy in finding["remedy"]
    shown = await vedette("doctor", *where)
    assert shown.code == 1
    assert finding["seen"] in shown.out
