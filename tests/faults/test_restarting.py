"""A Vedette that is started again: its clients find it."""

import signal
import socket
from pathlib import Path

import pytest

from commands import up
from eventually import eventually
from vedette import Client
from vedette.bus.connection import connect
from vedette.errors import ConfigurationError, NoAnswer
from vedette.runtime import nats_server
from vedette.settings import Nats

CONFIG = "[endpoints.closed]\nurl = 'http://127.0.0.1:1'\n"


@pytest.mark.fault(
    "the private server restarts", "I4", without=("vedette.bus.agents:listens", lambda directory: None)
)
async def test_a_restart_keeps_the_port(tmp_path: Path, port: int) -> None:
    """And the passwords: URLs that were given away stay good."""
    urls, lines = [], list[str]()
    for chosen in (port, 0, 0):
        async with nats_server.run(tmp_path, port=chosen, say=lines.append) as server:
            urls.append(server.url("agent"))
    assert len(set(urls)) == 1
    assert lines == []


@pytest.mark.fault("another program has the private server's port", "I4")
async def test_a_taken_port_is_said_and_the_next_one_kept(tmp_path: Path) -> None:
    lines = list[str]()
    async with nats_server.run(tmp_path, say=lines.append) as server:
        before = server.port
    with socket.create_server(("127.0.0.1", before)):
        async with nats_server.run(tmp_path, say=lines.append) as server:
            after = server.port
        with pytest.raises(ConfigurationError, match=f"port {before}: cannot be used"):
            async with nats_server.run(tmp_path, port=before):
                pass
    assert after != before
    (line,) = lines
    assert f"port {before} of the last start is taken, so it is now {after}" in line
    async with nats_server.run(tmp_path, say=lines.append) as server:
        assert server.port == after
    assert len(lines) == 1


@pytest.mark.fault("another process takes the private server's port a moment before it starts", "I4")
async def test_a_port_that_another_process_takes_first_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the moment in which it is found free and the start of the server."""
    tried, program = tmp_path / "tried", tmp_path / "nats-server"
    program.write_text(
        f'#!/bin/sh\n[ -e {tried} ] && exec {nats_server.find_binary()} "$@"\ntouch {tried}\n'
        'echo "[FTL] Error listening on port: bind: address already in use"\nexit 1\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("NATS_SERVER_BIN", str(program))
    async with nats_server.run(tmp_path / "nats") as server, connect(Nats(url=server.url("agent")), name="t"):
        assert tried.exists()


@pytest.mark.fault("the process that started the private server is killed", "I4")
async def test_after_a_kill_the_port_is_the_same(tmp_path: Path, port: int) -> None:
    """The server of before may hold it for a moment longer."""
    places = set()
    for chosen in (["--port", str(port)], []):
        async with up(tmp_path / "state", CONFIG, *chosen) as running:
            await running.line("ready")
            places.add(running.connection.server)
            await running.stop(signal.SIGKILL)
    assert len(places) == 1


@pytest.mark.fault(
    "a Vedette restarts on another port and with other passwords",
    "I4",
    without=("vedette.client:Client._url_now", lambda client: None),
)
async def test_a_client_finds_a_vedette_that_moved(tmp_path: Path, port: int) -> None:
    state = tmp_path / "state"
    async with up(state, CONFIG) as running:
        await running.line("ready")
        before = running.connection
        client = Client(state_dir=str(state))
        await client.connect()
        assert (await client.models()).total == 0
        assert await running.stop() == 0
    (state / "nats" / "credentials.json").unlink()
    async with up(state, CONFIG, "--port", str(port)) as running:
        await running.line("ready")
        now = running.connection
        assert (now.server, now.password) != (before.server, before.password)
        assert now.nats_url == f"nats://{now.user}:{now.password}@{now.server.removeprefix('nats://')}"

        async def answered() -> bool:
            try:
                return (await client.models()).total == 0
            except NoAnswer:
                return False

        await eventually(answered, what="an answer from the Vedette that moved")
        await client.close()
