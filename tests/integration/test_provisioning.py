"""Provisioning on NATS servers of one's own: without JetStream, and with streams of others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import nats
import nats.js.errors
import pytest
from nats.aio.client import Client as NatsClient
from nats.js.api import StreamConfig

from commands import started, vedette
from eventually import eventually
from ports import reserved
from vedette.bus.connection import close
from vedette.bus.provisioning import provision, provision_stream, too_large_for_one
from vedette.bus.stream_configs import stream_names, streams
from vedette.errors import JetStreamOff, ProvisioningError
from vedette.runtime import nats_server
from vedette.runtime.subprocesses import child
from vedette.settings import Nats, Settings

FEW = Settings(nats=Nats(expected_models=1))
JETSTREAM = 'jetstream { store_dir: "DIRECTORY" }\n'
ONE_ACCOUNT = (
    f'{JETSTREAM}accounts {{ without {{ users: [{{ user: "u", password: "p" }}] }}\n'
    'with { jetstream: enabled, users: [{ user: "x", password: "y" }] } }\n'
)


@asynccontextmanager
async def server_of_others(directory: Path, configuration: str) -> AsyncIterator[str]:
    """Run a nats-server with *configuration*; yield its URL."""
    text = configuration.replace("DIRECTORY", str(directory / "jetstream"))
    file = directory / "nats.conf"
    command = [nats_server.find_binary(), "--config", str(file)]
    with reserved() as port:
        file.write_text(f'listen: "127.0.0.1:{port}"\n{text}')
        async with child(command, log=directory / "log"):
            yield f"nats://127.0.0.1:{port}"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[NatsClient]:
    async with asyncio.timeout(60):  # a server that does not start is waited for without end
        connection = await nats.connect(url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    try:
        yield connection
    finally:
        await close(connection)


async def _unchecked(_: NatsClient) -> None:
    return


async def _unnamed(_: object, __: object) -> str:
    return "subjects overlap with an existing stream"


@pytest.mark.fault(
    "JetStream is not switched on",
    "I4",
    without=("vedette.bus.provisioning:require_jetstream", _unchecked),
)
@pytest.mark.parametrize(
    ("configuration", "login", "says"),
    [("", "", 'jetstream { store_dir: "/data" }'), (ONE_ACCOUNT, "u:p@", "jetstream: enabled")],
    ids=["server", "account"],
)
async def test_a_server_without_jetstream_is_named(
    configuration: str, login: str, says: str, tmp_path: Path
) -> None:
    """`provision`, services and `doctor` say where, and what to write."""
    async with server_of_others(tmp_path, configuration) as plain:
        url = plain.replace("//", f"//{login}")
        async with connected(url) as connection:
            with pytest.raises(JetStreamOff) as caught:
                await provision(connection, FEW)
        assert plain.partition("//")[2] in str(caught.value)
        assert says in str(caught.value)
        assert "u:p" not in str(caught.value)
        file = tmp_path / "vedette.toml"
        file.write_text(f'[nats]\nurl = "{url}"\n')
        place = ("--state-dir", str(tmp_path / "state"))
        ended = await vedette("doctor", "--json", "--config", str(file), *place)
        (finding,) = [finding for finding in ended.json()["findings"] if finding["what"] == "NATS"]
        assert "JetStream is not switched on" in finding["seen"]
        assert says in finding["remedy"]
        file.write_text(f'[nats]\nurl = "{url}"\nprovision = false\n')
        async with started(tmp_path, "run", "recommender", "--config", str(file)) as running:
            assert "JetStream is not switched on" in await running.line("waiting")


@pytest.mark.fault(
    "a stream of another program is in the way",
    "I13",
    without=("vedette.bus.provisioning:_in_the_way", _unnamed),
)
@pytest.mark.parametrize(
    ("name", "subject", "says"),
    [
        ("OTHERS", "model.>", r"stream MODELS: the stream OTHERS.* already has messages on model\.\*"),
        ("OTHERS", "job.a.b", r"stream JOBS: the stream OTHERS.* on job\.>"),
    ],
)
async def test_a_stream_on_the_same_subjects_is_named_and_kept(
    name: str, subject: str, says: str, tmp_path: Path
) -> None:
    await _stays_as_it_is(name, subject, says, tmp_path)


@pytest.mark.fault("a stream of another program has the name of one of ours", "I13")
async def test_a_stream_of_the_same_name_is_named_and_kept(tmp_path: Path) -> None:
    says = r"stream JOBS: a stream of this name with orders\.> is there already"
    await _stays_as_it_is("JOBS", "orders.>", says, tmp_path)


@pytest.mark.parametrize(
    ("limit", "replicas", "kept"), [("", 1, "file"), ("", 3, "memory"), ("max_memory_store: 0", 3, "file")]
)
async def test_loads_are_kept_where_the_server_has_room(
    limit: str, replicas: int, kept: str, tmp_path: Path
) -> None:
    """The official chart gives streams no memory; and no restart of a single server may forget the stream."""
    configuration = JETSTREAM.replace("}", f"\n{limit}\n}}")
    async with server_of_others(tmp_path, configuration) as url, connected(url) as connection:
        js = connection.jetstream(timeout=60)
        wanted = next(
            config
            for config in streams(Settings(nats=Nats(replicas=replicas, expected_models=1)))
            if config.name == "LOADS"
        ).evolve(num_replicas=1)  # more need a cluster
        for _ in range(2):
            await provision_stream(js, wanted, most_bytes=wanted.max_bytes)
            assert (await js.stream_info("LOADS")).config.storage == kept


async def test_an_account_with_a_maximum_for_each_stream_gets_smaller_ones(tmp_path: Path) -> None:
    """The refusal is known for what it is: in a cluster nothing waits for room that no wait makes."""
    most = 40 * 2**20
    account = f'{{ jetstream {{ disk_max_stream_bytes: {most} }}, users: [{{ user: "x", password: "y" }}] }}'
    async with (
        server_of_others(tmp_path, f"{JETSTREAM}accounts {{ with {account} }}\n") as plain,
        connected(plain.replace("//", "//x:y@")) as connection,
    ):
        js = connection.jetstream(timeout=60)
        with pytest.raises(nats.js.errors.APIError) as caught:
            await js.add_stream(StreamConfig(name="OTHERS", max_bytes=most + 1))
        assert too_large_for_one(caught.value)
        assert len(await provision(connection, FEW)) == len(stream_names(FEW))
        assert max(info.config.max_bytes or 0 for info in await js.streams_info()) <= most


@pytest.mark.fault(
    "the server cannot make a stream's directory for a moment",
    "I13",
    without=("vedette.bus.provisioning:_STORE_NOT_MADE", "nothing of the kind"),
)
async def test_a_store_that_cannot_be_made_is_tried_again(tmp_path: Path) -> None:
    """A server that removes the empty directory of streams does so while the next stream is made."""
    in_the_way = tmp_path / "jetstream" / "jetstream" / "$G" / "streams"
    async with server_of_others(tmp_path, JETSTREAM) as url, connected(url) as connection:
        in_the_way.parent.mkdir(parents=True, exist_ok=True)
        in_the_way.touch()
        provisioning = asyncio.create_task(provision(connection, FEW))
        await eventually(partial(_refused_a_stream, tmp_path / "log"), what="the refusal of a stream")
        in_the_way.unlink(missing_ok=True)  # some servers remove it themselves
        made = await provisioning
    assert [line.split()[1] for line in made] == stream_names(FEW)


async def _refused_a_stream(log: Path) -> bool:
    return "Stream create failed" in await asyncio.to_thread(log.read_text)


async def _stays_as_it_is(name: str, subject: str, says: str, directory: Path) -> None:
    async with server_of_others(directory, JETSTREAM) as url, connected(url) as connection:
        js = connection.jetstream(timeout=60)
        await js.add_stream(name=name, subjects=[subject])
        await js.publish(subject.replace(">", "a.b"), b"theirs")
        before = await js.stream_info(name)
        with pytest.raises(ProvisioningError, match=says):
            await provision(connection, FEW)
        after = await js.stream_info(name)
        assert after.config == before.config
        assert after.state.messages == 1
