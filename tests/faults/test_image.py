"""The services as containers: from the image, on a root that cannot be written, without a capability, on PostgreSQL.

Replaced in turn, as a rolling update would, while agents ask. Only where a Docker engine has the image:
`docker build --file deploy/Dockerfile --tag vedette:dev .`
"""

import asyncio
import gc
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path

import docker
import docker.errors
import pytest
import sqlalchemy as sa
from docker.models.containers import Container

from eventually import eventually
from faults.test_rolling import ANSWERED, OFTEN, QUESTIONS_PER_S, asking
from postgres import create_database
from providers.fake_ollama import fake_ollama
from require import missing
from vedette.bus.connection import connect
from vedette.bus.provisioning import provision
from vedette.runtime.nats_server import NatsServer
from vedette.settings import Nats, Settings
from vedette_recorder import tables
from vedette_recorder.store import Store

pytest_plugins = ("database",)

pytestmark = pytest.mark.lane("image")

IMAGE = "vedette:dev"
REPLICAS = {"recommender": 2, "recorder": 2, "benchmarker": 1, "prober": 1, "discoverer": 1, "ticker": 1}
CONFIG = (
    OFTEN
    + """
[nats]
user = {{ env = "NATS_USER" }}
password = {{ env = "NATS_PASSWORD" }}
url = "nats://127.0.0.1:{port}"
provision = false
[database]
url = "{database}"
"""
)


@contextmanager
def engine() -> Iterator[docker.DockerClient]:
    """Yield a Docker engine that has the image; skip where there is none."""
    with warnings.catch_warnings():
        # When nobody answers, docker leaves its socket to the collector, which would complain in some test.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client = docker.from_env(timeout=60)
            client.images.get(IMAGE)
        except (docker.errors.DockerException, OSError):
            gc.collect()
            missing("docker", f"start an engine that has {IMAGE}")
    with closing(client):
        yield client


@asynccontextmanager
async def container(
    client: docker.DockerClient, service: str, server: NatsServer, *mounted: Path
) -> AsyncIterator[Container]:
    """Run *service* as on Kubernetes; yield its container when it is ready."""
    made = await asyncio.to_thread(
        client.containers.run,
        IMAGE,
        ["run", service, "--config", str(mounted[0])],
        detach=True,
        network_mode="host",
        read_only=True,
        tmpfs={"/tmp": ""},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        environment={"NATS_USER": service, "NATS_PASSWORD": server.credentials[service]},
        volumes={str(path): {"bind": str(path), "mode": "ro"} for path in mounted},
    )
    try:

        async def ready() -> bool:
            said = (await asyncio.to_thread(made.logs)).decode()
            await asyncio.to_thread(made.reload)
            assert made.status != "exited", said
            return "ready" in said

        await eventually(ready, what=f"{service} ready in its container")
        yield made
    finally:
        await asyncio.to_thread(made.remove, force=True)


@pytest.mark.fault(
    "every container replaced in turn under 500 queries/s", "I4", "I11", trials=sum(REPLICAS.values())
)
async def test_services_from_the_image_are_replaced_under_load(
    tmp_path: Path, server: NatsServer, request: pytest.FixtureRequest
) -> None:
    """Each as its own user of NATS, ended by SIGTERM within its grace; no question fails, and all is recorded."""
    with engine() as client:
        binaries, socket = request.getfixturevalue("postgres_server")
        socket.chmod(0o755)
        database = create_database(binaries, socket)
        async with fake_ollama(a="1") as ollama, Store(database) as store, AsyncExitStack() as stack:
            file = tmp_path / "vedette.toml"
            file.write_text(CONFIG.format(url=ollama.url, port=server.port, database=database))
            for above in (file, *file.parents[:2]):
                above.chmod(0o755)
            async with connect(Nats(url=server.url("operator")), name="test") as connection:
                await provision(connection, Settings())
            await store.migrate()

            async def start(service: str) -> Container:
                return await stack.enter_async_context(container(client, service, server, file, socket))

            running = [(service, await start(service)) for service, n in REPLICAS.items() for _ in range(n)]
            async with asking(server) as questions:
                await eventually(questions.all_answer, what="answers that name the model, of both replicas")
                questions.outcomes.clear()
                questions.took_ms.clear()
                for service, old in running:
                    await start(service)
                    await asyncio.to_thread(old.stop, timeout=45)
                    ended = await asyncio.to_thread(old.wait)
                    assert ended["StatusCode"] == 0, (service, ended, old.logs().decode())
            assert questions.outcomes.keys() == {ANSWERED}, questions.outcomes
            asked = questions.outcomes[ANSWERED]
            print(f"{asked} questions, the slowest took {max(questions.took_ms):.0f} ms")
            assert asked > QUESTIONS_PER_S
            probes = tables.model_availability_history

            async def recorded() -> bool:
                (row,) = await store.read(sa.select(sa.func.count().label("n")).select_from(probes))
                return int(row["n"]) > 5

            await eventually(recorded, what="probes in PostgreSQL")
        log = (tmp_path / "nats" / "nats-server.log").read_text()
        assert "iolation" not in log
