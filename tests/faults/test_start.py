"""A pod may start before anything that it needs."""

import asyncio
import json
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from commands import READY_WITHIN_S, started, vedette
from eventually import eventually
from ports import reserved
from vedette.runtime import nats_server, telemetry
from vedette.runtime.subprocesses import child


@pytest.mark.lane("faults")
@pytest.mark.fault("services start before NATS, its streams and the database", "I4")
async def test_services_wait_for_what_they_need(tmp_path: Path, port: int) -> None:
    """They live at once, say what is missing, and are ready once it is there; none of them ends."""
    config = tmp_path / "vedette.toml"
    state = tmp_path / "state"  # a volume, for the database that is not configured
    state.mkdir()
    url = f"nats://127.0.0.1:{port}"
    server = [nats_server.find_binary(), "-p", str(port), "-js", "-sd", str(tmp_path / "js")]
    names = ("recorder", "recommender", "prober", "ticker")

    async def told() -> telemetry.Readiness:
        return await asyncio.to_thread(telemetry.readiness, health_url)

    async def is_ready() -> bool:
        await running.lives()
        return not (await told()).problems

    async with AsyncExitStack() as stack:
        health = stack.enter_context(reserved())
        health_url = f"http://127.0.0.1:{health}"
        config.write_text(f'[nats]\nurl = "{url}"\nprovision = false\n[http]\nport = {health}\n')
        running = await stack.enter_async_context(
            started(tmp_path, "run", *names, "--config", str(config), VEDETTE_STATE_DIR=str(state))
        )
        assert "no NATS server listens there" in await running.line("waiting")
        waits = await told()
        assert set(waits.services) == set(names)
        assert "no NATS server listens there" in waits.problems["recorder"]
        await stack.enter_async_context(child(server, log=tmp_path / "nats.log"))
        await running.line("waiting   recorder: Vedette's streams are not there yet")
        provisioned = await vedette("provision", "--wait", "--config", str(config))
        assert provisioned.code == 0, provisioned.err
        await running.line("ready")
        await eventually(is_ready, within_s=READY_WITHIN_S, what="all ready")
        diagnosed = await vedette(
            "doctor", "--json", "--config", str(config), VEDETTE_STATE_DIR=str(tmp_path / "none")
        )
        seen = {finding["what"]: finding["seen"] for finding in diagnosed.json()["findings"]}
        assert seen["services"] == "all ready"
        assert seen["NATS"] == url
        assert "state directory" not in seen  # a pod has none
        assert (state / "vedette.db").is_file()
        assert await running.stop() == 0


async def test_a_service_that_waits_can_be_stopped(tmp_path: Path, port: int) -> None:
    """At once, by a signal. What it waits for is one line of the log, not one for each attempt."""
    url = f"nats://127.0.0.1:{port}"
    async with started(tmp_path, "run", "ticker", "--nats", url) as running:
        await running.line("waiting")
        assert await running.stop(signal.SIGTERM) == 128 + signal.SIGTERM
        complaints = await running.complaints()
    told = [line for line in complaints.splitlines() if "service.waiting" in line]
    reasons = {json.loads(line)["reason"] for line in told}
    assert len(told) == len(reasons), told
    assert "nats.error" not in complaints
