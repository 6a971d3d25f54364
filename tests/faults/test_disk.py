"""A disk that is small or full: streams fit what there is, and what a full disk stops goes on when there is room."""

import asyncio
import os
import re
import signal
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client as NatsClient
from nats.js.api import StreamConfig

from commands import Up, up, vedette
from eventually import eventually
from faults.disks import MIB, disk, fill
from providers.fake_ollama import fake_ollama
from redelivery import shorten_ack_wait
from vedette.bus.connection import close, connect
from vedette.bus.provisioning import provision
from vedette.bus.stream_configs import streams
from vedette.client import Client
from vedette.errors import StorageTooSmall
from vedette.local import instance
from vedette.messages.events import ModelProbed
from vedette.runtime import nats_server
from vedette.runtime.nats_server import NatsServer
from vedette.runtime.subprocesses import child
from vedette.settings import Nats, Schedule, Settings

# A minute between probes of ten thousand models: 41 GB, if all that is wanted is to be kept.
GREEDY = Settings(schedule=Schedule(availability="1m"), nats=Nats(expected_models=10_000))


@asynccontextmanager
async def operator(server: NatsServer) -> AsyncIterator[NatsClient]:
    connection = await nats.connect(server.url("operator"))
    try:
        yield connection
    finally:
        await close(connection)


async def limits(connection: NatsClient) -> dict[str, int]:
    return {
        info.config.name or "": info.config.max_bytes or 0
        for info in await connection.jetstream(timeout=60).streams_info()
    }


@pytest.mark.parametrize("settings", [Settings(), GREEDY], ids=["defaults", "many models"])
@pytest.mark.fault("a disk too small for the streams as configured", "I5")
async def test_two_instances_start_on_one_small_disk(tmp_path: Path, settings: Settings) -> None:
    """With 2 GB free, two servers make all streams, with limits that fit the disk together."""
    with disk(tmp_path / "disk", 2000) as place:
        for name in ("one", "two"):
            async with nats_server.run(place / name) as server, operator(server) as connection:
                await provision(connection, settings, room_bytes=instance.room(place))
                made = await limits(connection)
                assert made.keys() == {config.name for config in streams(settings)}
                assert 0 < sum(made.values()) <= 1000 * MIB
                assert await provision(connection, settings, room_bytes=instance.room(place)) == []


@pytest.mark.fault("a server with less storage than the streams ask for", "I5")
async def test_streams_fit_a_server_with_little_storage(tmp_path: Path, port: int) -> None:
    """A server of one's own with 300 MB of storage gets streams that fit; one with 5 MB is named with the remedy."""
    for storage, fits in (("300MB", True), ("5MB", False)):
        directory = tmp_path / storage
        directory.mkdir()
        configuration = directory / "nats.conf"
        configuration.write_text(
            f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{directory}", max_file_store: {storage} }}\n'
        )
        command = [nats_server.find_binary(), "--config", str(configuration)]
        async with child(command, log=directory / "log"):
            connection = await nats.connect(
                f"nats://127.0.0.1:{port}", max_reconnect_attempts=-1, reconnect_time_wait=0.1
            )
            try:
                if fits:
                    await provision(connection, GREEDY)
                    assert sum((await limits(connection)).values()) <= 300 * 2**20
                else:
                    with pytest.raises(StorageTooSmall, match=r"refuses \d+ MiB .* max_file_store"):
                        await provision(connection, GREEDY)
            finally:
                await close(connection)


def _never_given_up(
    before: Mapping[str, int], shares: Sequence[float]
) -> Iterator[tuple[float, Mapping[str, int]]]:
    yield from ((share, before) for share in shares)


@pytest.mark.fault(
    "streams that fill the storage, and one still to be made",
    "I5",
    without=("vedette.bus.provisioning:_attempts", _never_given_up),
)
async def test_streams_share_what_a_server_has(tmp_path: Path, port: int) -> None:
    """A volume of 2 GiB gives the server 1.2 GiB: no stream is refused because those before it took too much.

    Where streams that are there take all of it, they shrink together. Doing it again changes nothing.
    """
    configuration = tmp_path / "nats.conf"
    configuration.write_text(
        f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{tmp_path}", max_file_store: 1200MB }}\n'
    )
    async with child([nats_server.find_binary(), "--config", str(configuration)], log=tmp_path / "log"):
        connection = await nats.connect(
            f"nats://127.0.0.1:{port}", max_reconnect_attempts=-1, reconnect_time_wait=0.1
        )
        try:
            await provision(connection, Settings())
            parts = await limits(connection)
            assert parts["MODELS"] >= 256 * MIB
            assert await provision(connection, Settings()) == []

            js = connection.jetstream(timeout=60)
            await js.delete_stream("DEAD")
            rest = 1200 * MIB - sum(max(0, part) for name, part in parts.items() if name != "DEAD")
            models: StreamConfig = (await js.stream_info("MODELS")).config
            await js.update_stream(models.evolve(max_bytes=parts["MODELS"] + rest - MIB))
            assert "made DEAD" in await provision(connection, Settings())
            assert await limits(connection) == parts
        finally:
            await close(connection)


async def test_limits_grow_and_shrink_without_loss(server: NatsServer) -> None:
    """A limit grows with the room, shrinks to what is wanted, and never comes near what the stream holds."""
    settings = Settings(nats=Nats(expected_models=1))
    whole = next(config.max_bytes or 0 for config in streams(settings) if config.name == "MODELS")
    async with operator(server) as connection:
        js = connection.jetstream(timeout=60)
        await provision(connection, settings, room_bytes=64 * MIB)
        small = (await limits(connection))["MODELS"]
        await provision(connection, settings, room_bytes=10_000 * MIB)
        assert (await limits(connection))["MODELS"] == whole > small
        await provision(connection, settings, room_bytes=64 * MIB)
        assert (await limits(connection))["MODELS"] == whole, "a fuller disk takes no limit back"

        config: StreamConfig = (await js.stream_info("MODELS")).config
        await js.update_stream(config.evolve(max_bytes=40_000 * MIB))
        await provision(connection, settings, room_bytes=64 * MIB)
        assert (await limits(connection))["MODELS"] == whole, "an older version reserved far more"

        dead: StreamConfig = (await js.stream_info("DEAD")).config
        await js.update_stream(dead.evolve(max_bytes=-1))
        for number in range(8):
            await js.publish("dead.test", bytes([number]) * 900_000)
        await provision(connection, settings, room_bytes=1 * MIB)
        assert (await limits(connection))["DEAD"] >= 2 * 8 * 900_000
        assert (await js.stream_info("DEAD")).state.messages == 8


@pytest.mark.fault("a disk with no room to start on", "I5")
async def test_a_full_disk_at_start_is_one_sentence(tmp_path: Path) -> None:
    """`vedette up` on a disk with 30 MiB names the place, the need and what to do, and starts nothing."""
    with disk(tmp_path / "disk", 30) as place:
        ended = await vedette("up", "--state-dir", str(place))
    assert ended.code == 2
    assert "Traceback" not in ended.err + ended.out
    said = " ".join(ended.err.split())
    assert f"{place}: the disk has" in said
    assert (
        "MiB free, Vedette needs 64 MiB to start; free some space, or choose another directory with --state-dir"
        in said
    )


CONFIG = """
[schedule]
availability = "2s"
[endpoints.box]
url = "{url}"
benchmark = false
evaluate = false
verify_capabilities = false
"""


def _readyz(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=60) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def readiness(running: Up) -> tuple[int, str]:
    return await asyncio.to_thread(_readyz, running.connection.health_url)


async def probed(running: Up, *, since: datetime) -> None:
    """Wait for a probe that was made *since* then, as an agent hears it: one made before may be published late."""
    async with (
        Client(running.connection.nats_url, timeout_s=60) as client,
        client.watch(events=["model.probed"]) as events,
    ):
        async for event in events:
            assert isinstance(event, ModelProbed)
            if event.at > since:
                return
    raise AssertionError("the watch ended")


@pytest.mark.fault("the disk of broker and database fills up, and has room again", "I1", "I5")
async def test_a_full_disk_is_said_and_what_it_stopped_goes_on(tmp_path: Path) -> None:
    """Not ready, with the reason, while writes are refused; probes go on by themselves when there is room."""
    state = tmp_path / "state"
    with disk(state, 200) as place:
        async with (
            fake_ollama(a="1") as ollama,
            up(state, CONFIG.format(url=ollama.url), first_start=True) as running,
        ):
            await running.line("ready")
            async with connect(Nats(url=running.connection.operator_url), name="test") as connection:
                await shorten_ack_wait(connection.jetstream(timeout=60), 10.0)
            ballast = fill(place)

            async def refuses() -> bool:
                status, said = await readiness(running)
                return (
                    status == 503
                    and "NATS stores no messages on" in said
                    and "restart the NATS server" in said
                )

            await eventually(refuses, what="not ready, with the reason")
            doctor = await running.ask("doctor", "--config", str(state.with_suffix(".toml")))
            assert doctor.code == 1
            assert "NATS stores no messages on" in " ".join(doctor.out.split())
            assert "the disk has 0 MiB free" in " ".join(doctor.out.split())
            ballast.unlink()
            freed = datetime.now(UTC)
            said = await running.line("NATS      restarted: it refused writes for")
            assert re.search(r"for \d+ s$", said)

            async def ready() -> bool:
                return (await readiness(running))[0] == 200

            await eventually(ready, what="ready again")
            async with asyncio.timeout(300):
                await probed(running, since=freed)
            assert await running.stop() == 0


@pytest.mark.fault("the private broker of `up` is killed", "I5")
async def test_a_killed_private_broker_is_started_again(tmp_path: Path) -> None:
    """`vedette up` starts its nats-server again, on the same port, and probes go on."""
    state = tmp_path / "state"
    async with (
        fake_ollama(a="1") as ollama,
        up(state, CONFIG.format(url=ollama.url), first_start=True) as running,
    ):
        await running.line("ready")
        url = running.connection.nats_url
        os.kill(_broker_of(state), signal.SIGKILL)
        await running.line("NATS      restarted: its process ended")
        async with asyncio.timeout(180):
            await probed(running, since=datetime.now(UTC))
        assert running.connection.nats_url == url


def _broker_of(state: Path) -> int:
    configuration = str(state / "nats" / "nats-server.conf").encode()
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if configuration in place.read_bytes():
                return int(place.parent.name)
        except OSError:
            continue
    raise AssertionError("no nats-server runs")
