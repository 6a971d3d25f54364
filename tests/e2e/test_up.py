"""`vedette up` as people run it: a subprocess, a real nats-server, a real model."""

import csv
import json
import signal
from pathlib import Path

import nats
import pytest

from commands import Up, up, vedette
from eventually import eventually
from providers.replay import replaying, reply
from vedette.bus.connection import barrier, open_connection
from vedette.cli.entries import NOTHING_FOUND
from vedette.errors import BusUnreachable
from vedette.settings import EndpointSettings, Nats

QUICK = """
[benchmarking]
runs = 1
output_tokens = 16
"""


async def measured(running: Up) -> list[dict[str, object]]:
    """Return the models as `vedette models --json` shows them, once all of them are measured."""

    async def ask() -> list[dict[str, object]]:
        ended = await running.ask("models", "--json")
        assert ended.code in (0, NOTHING_FOUND), ended.err  # none is found yet
        models: list[dict[str, object]] = ended.json()["models"]
        return models if models and all(model["performance"] for model in models) else []

    return await eventually(ask, what="every model measured")


async def test_from_a_start_to_an_explained_recommendation(
    tmp_path: Path, model_server: EndpointSettings
) -> None:
    """Nothing is commanded: found, probed and measured by itself; then every question has its answer."""
    config = f'{QUICK}[endpoints.local]\nprovider = "openai-compatible"\nurl = "{model_server.url}"\nevaluate = false\n'
    async with up(tmp_path / "state", config) as running:
        await running.line("ready")
        said = [line.split()[0] for line in running.lines]
        assert said[0] == "starting"
        assert [word for word in said if word != "starting"][:4] == ["NATS", "history", "health", "ready"]
        (model,) = await measured(running)
        assert model["model"] == {"endpoint": "local", "name": "smollm2:135m"}
        assert model["status"] == "available"
        speed = model["performance"]
        assert isinstance(speed, dict)
        assert speed["output_tps"] > 0
        assert speed["ttft_ms"] > 0
        assert speed["ttft_cold_ms"] > 0  # the server had unloaded the model before

        best = (await running.ask("recommend", "chat", "--json")).json()
        assert best["recommendation"]["model"] == model["model"]
        assert best["recommendation"]["base_url"] == f"{model_server.url}/v1"
        explained = await running.ask("explain", "chat")
        assert explained.code == 0
        assert "local/smollm2:135m is best for chat" in explained.out
        assert (await running.ask("recommend", "chat")).out.startswith("local/smollm2:135m")

        none = await running.ask("recommend", "chat", "--min-context-tokens", "999999")
        assert none.code == 3
        assert "relax --min-context-tokens from 999999 to 4096" in none.out
        wrong = await running.ask("recommend", "chatt")
        assert wrong.code == 2
        assert 'did you mean "chat"?' in wrong.err

        for command in ("discover", "probe", "benchmark"):
            done = await running.ask(command, "local", "--json")
            assert done.code == 0, done.err
            assert [job["state"] for job in done.json()["jobs"]] == ["done"]
            assert "started" in done.err
        swept = await running.ask("benchmark", "local", "--sweep", "1,2", "--output", "csv")
        assert swept.code == 0, swept.err
        rows = list(csv.DictReader(swept.out.splitlines()))
        assert {"output", "TTFT, short prompt", "TTFT, long prompt"} <= {row["figure"] for row in rows}
        whole = (await running.ask("doctor", "local/smollm2:135m", "--json")).json()["models"][0]
        assert [load["streams"] for load in whole["figures"]["sweep"]["loads"]] == [1, 2]
        proved = await running.ask("verify", "local/smollm2:135m")
        assert proved.code == 0, proved.err
        assert "verified" in proved.out
        wrong = await running.ask("benchmark", "local", "--sweep", "0,many")
        assert wrong.code == 2
        assert "--sweep: '0,many' is not a list of numbers" in wrong.err
        used = (await running.ask("endpoints", "--json")).json()["endpoints"][0]["used"]
        assert used["requests"] > 10
        assert "local" in (await running.ask("endpoints")).out
        unknown = await running.ask("benchmark", "local/nope")
        assert unknown.code == 2
        assert 'no endpoint or model local/nope; did you mean "local"?' in unknown.err
        suite = await running.ask("evaluate", "local", "--suite", "arithmetik")
        assert suite.code == 2
        assert 'no suite arithmetik; did you mean "arithmetic"?' in suite.err
        for filtered in (("models", "--endpoint", "locl"), ("recommend", "chat", "--endpoint", "locl")):
            refused = await running.ask(*filtered)
            assert refused.code == 2
            assert 'no endpoint locl; did you mean "local"?' in refused.err
        empty = await running.ask("models", "no-such-text")
        assert (empty.code, empty.out) == (3, "0 of 1 model matches.\n")

        healthy = await running.ask("doctor", "--config", str(tmp_path / "state.toml"), "--json")
        assert healthy.code == 0, healthy.out
        assert await running.stop(signal.SIGINT) == 0
        assert running.lines[-1] == "stopped"
    assert not (tmp_path / "state" / "connection.json").exists()
    gone = await vedette("models", "--state-dir", str(tmp_path / "state"))
    assert gone.code == 4
    assert "vedette up" in gone.err


async def test_agents_see_what_is_theirs_and_nothing_else(tmp_path: Path) -> None:
    """The services tell their schemas; nobody may forge an event; without credentials nobody gets in."""
    async with up(tmp_path / "state", first_start=True) as running:
        await running.line("ready")
        errors: list[Exception] = []

        async def on_error(error: Exception) -> None:
            errors.append(error)

        agent = await nats.connect(running.connection.nats_url, error_cb=on_error)
        info = json.loads((await agent.request("$SRV.INFO.vedette-recommender", timeout=60)).data)
        subjects = {endpoint["subject"]: endpoint["metadata"] for endpoint in info["endpoints"]}
        assert "recommend.best" in subjects
        assert json.loads(subjects["recommend.best"]["request_schema"])["$defs"]["RecommendRequest"]
        assert json.loads(subjects["models.list"]["reply_schema"])
        assert json.loads(subjects["report.outcome"]["request_schema"])["$defs"]["ReportRequest"]

        for forged in (
            "model.found",
            "model.found.local.x",
            "job.probe.h.local",
            "recommend.changed.chat",
            "report.local.x",
        ):
            errors.clear()
            await agent.publish(forged, b"{}")
            await barrier(agent)
            assert any("ermissions" in str(error) for error in errors), forged
        await agent.close()

        operator = await nats.connect(running.connection.operator_url, error_cb=on_error)
        errors.clear()
        await operator.publish("model.found", b"{}")
        await barrier(operator)
        assert any("ermissions" in str(error) for error in errors)
        # One subject may take the answers to many questions, whatever client asks.
        inbox = operator.new_inbox()
        answers = await operator.subscribe(inbox)
        for _ in range(20):
            await operator.publish("models.list", b"{}", reply=inbox)
        for _ in range(20):
            assert json.loads((await answers.next_msg(timeout=60)).data)["models"] == []
        await operator.close()

        anonymous = running.connection.nats_url.rpartition("@")[2]
        with pytest.raises(BusUnreachable, match="refused these credentials"):
            await open_connection(Nats(url=f"nats://{anonymous}"), name="anonymous")
        assert (tmp_path / "state" / "connection.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.fault("two on one state directory", "I1")
async def test_a_second_one_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    """One process per state directory; and the first says only once that there is no Ollama."""
    async with up(tmp_path / "state") as running:
        await running.line("ready")
        second = await vedette("up", "--state-dir", str(tmp_path / "state"))
        assert second.code == 2
        assert f"process {running.connection.pid}" in second.err
        assert len(second.said) == 1
        # The normal case on a fresh machine: said once, with what to do.
        line = await running.line("endpoint")
        assert "nothing listens at http://127.0.0.1:1; start the server, or add your endpoints" in line
        assert await running.stop() == 0
        assert await running.complaints() == ""


async def test_what_waits_for_leave_is_said(tmp_path: Path) -> None:
    """At the start, by `doctor` and by `endpoints`: calls of a server that nobody recognises may cost."""
    async with replaying() as server:
        server.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m", "object": "model"}]})
        config = f'{QUICK}[endpoints.box]\nprovider = "openai-compatible"\nurl = "{server.url}"\n'
        async with up(tmp_path / "state", config) as running:
            said = await running.line("cost")
            assert "1 model behind box is not measured: calls may cost" in said
            assert "set measure = true or a budget in [endpoints.box]" in said
            findings = (
                await running.ask("doctor", "--json", "--config", str(tmp_path / "state.toml"))
            ).json()
            (finding,) = [one for one in findings["findings"] if one["what"] == "cost of box"]
            assert "not measured" in finding["seen"]
            assert "measure = true" in finding["remedy"]
            assert "1 model behind box is not measured" in (await running.ask("endpoints")).out
            assert "1 model behind box is not measured" in (await running.ask("explain", "chat")).out
