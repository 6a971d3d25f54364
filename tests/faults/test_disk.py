"""A disk that is small or full: streams fit what there is, and what a full disk stops goes on when there is room."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client as NatsClient
from nats.js.api import StreamConfig

from commands import vedette
from faults.disks import MIB, disk
from vedette import instance, nats_server
from vedette.children import child, free_port
from vedette.errors import StorageTooSmall
from vedette.nats_server import NatsServer
from vedette.provisioning import provision, streams
from vedette.settings import Nats, Schedule, Settings

# Probes every 5 s of a thousand models: 41 GB, if all of it is to be kept.
GREEDY = Settings(schedule=Schedule(availability="5s"))


@asynccontextmanager
async def operator(server: NatsServer) -> AsyncIterator[NatsClient]:
    connection = await nats.connect(server.url("operator"))
    try:
        yield connection
    finally:
        await connection.close()


async def limits(connection: NatsClient) -> dict[str, int]:
    return {
        info.config.name or "": info.config.max_bytes or 0
        for info in await connection.jetstream(timeout=10).streams_info()
    }


@pytest.mark.parametrize("settings", [Settings(), GREEDY], ids=["defaults", "every 5 s"])
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
async def test_streams_fit_a_server_with_little_storage(tmp_path: Path) -> None:
    """A server of one's own with 300 MB of storage gets streams that fit; one with 5 MB is named with the remedy."""
    for storage, fits in (("300MB", True), ("5MB", False)):
        directory = tmp_path / storage
        directory.mkdir()
        port = free_port()
        configuration = directory / "nats.conf"
        configuration.write_text(
            f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{directory}", max_file_store: {storage} }}\n'
        )
        command = [nats_server.find_binary(), "--config", str(configuration)]
        async with child(command, log=directory / "log"):
            connection = await nats.connect(f"nats://127.0.0.1:{port}", max_reconnect_attempts=-1)
            try:
                if fits:
                    await provision(connection, GREEDY)
                    assert sum((await limits(connection)).values()) <= 300_000_000
                else:
                    with pytest.raises(StorageTooSmall, match=r"refuses \d+ MiB .* max_file_store"):
                        await provision(connection, GREEDY)
            finally:
                await connection.close()


async def test_limits_grow_and_shrink_without_loss(server: NatsServer) -> None:
    """A limit grows with the room, shrinks to what is wanted, and never comes near what the stream holds."""
    settings = Settings(nats=Nats(expected_models=1))
    whole = next(config.max_bytes or 0 for config in streams(settings) if config.name == "MODELS")
    async with operator(server) as connection:
        js = connection.jetstream(timeout=10)
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
