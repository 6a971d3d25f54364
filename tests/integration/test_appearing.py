"""Endpoints of a source are in force without a restart, and leave after the grace, however many discoverers look."""

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from benchmarks.crowd import OllamaServer
from cluster import cluster
from commands import edit
from eventually import eventually
from vedette.bus.bus import Bus
from vedette.messages import ids
from vedette.messages.events import EndpointAppeared
from vedette.runtime import process
from vedette.settings import Secret, Settings, Source
from vedette.settings.discovery import Discovery
from vedette.settings.sources import Directory, Kubernetes

MODELS = 3


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Return the URL of a model server."""
    async with OllamaServer(models=MODELS, latency_s=0.0, at_once=16, counts=Counter()).listening() as url:
        yield url


@asynccontextmanager
async def discoverer(settings: Settings, discovery: Discovery) -> AsyncIterator[process.Running]:
    """Run a discoverer with the sources of *discovery*."""
    started = msgspec.structs.replace(settings, discovery=discovery)
    source = Source(Path("vedette.toml"), lambda: started, started)
    async with process.run(started, ["discoverer"], source=source) as up:
        yield up


async def states(bus: Bus, source: str) -> dict[str, str]:
    """Return what the stream says of each endpoint of *source*."""
    matching = [f"endpoint.appeared.{source}.*"]
    found = [event async for _, event in bus.streams.last_of_each("APPEARED", matching, {})]
    return {event.endpoint: event.state for event in found if isinstance(event, EndpointAppeared)}


async def until_states(bus: Bus, source: str, **wanted: str) -> None:
    """Wait until the stream says that of *source*; hyphens are underscores here."""
    names = {name.replace("_", "-"): state for name, state in wanted.items()}

    async def ask() -> bool:
        return await states(bus, source) == names

    await eventually(ask, what=f"{source} with {names}")


async def until_models(up: process.Running, so: Callable[[set[str]], bool]) -> None:
    """Take definitions on until *so* is true of the endpoints that have models."""

    async def ask() -> bool:
        assert up.reloading is not None
        await up.reloading.redefine()
        return so({state.model.endpoint for state in up.services[0].catalogue.present()})

    await eventually(ask, what="the endpoints with models")


def files(path: Path, *, grace_s: float = 0.0) -> Discovery:
    """Return the settings of a directory that is looked at often."""
    return Discovery(grace_s=grace_s, file=Directory(path=str(path), every_s=0.1))


async def test_a_file_brings_an_endpoint_and_takes_it_away(
    bus: Bus, settings: Settings, url: str, tmp_path: Path
) -> None:
    file = tmp_path / "gpu.toml"
    file.write_text(f'[endpoints.gpu]\nprovider = "ollama"\nurl = "{url}"\n')
    async with discoverer(settings, files(tmp_path)) as up:
        await until_models(up, lambda found: found == {"gpu"})
        file.unlink()
        await until_models(up, lambda found: not found)
    assert await states(bus, "directory") == {"gpu": "gone"}


async def test_two_discoverers_publish_once(bus: Bus, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "gpu.toml").write_text('[endpoints.gpu]\nurl = "http://127.0.0.1:9"\n')
    (tmp_path / "other.toml").write_text('[endpoints.Bad]\nurl = "http://bad"\n')
    async with discoverer(settings, files(tmp_path)), discoverer(settings, files(tmp_path)):
        await until_states(bus, "directory", gpu="there", bad="refused")
        edit(tmp_path / "third.toml", '[endpoints.last]\nurl = "http://127.0.0.1:9"\n')
        await until_states(bus, "directory", gpu="there", bad="refused", last="there")
    assert await bus.streams.count("APPEARED", "endpoint.appeared.directory.>") == 3


async def test_an_entry_that_is_too_large_is_a_problem_that_is_logged_once(
    bus: Bus, settings: Settings, tmp_path: Path
) -> None:
    """It is a note as long as it lasts, and keeps no other entry out."""
    huge = tmp_path / "huge.toml"
    names = ", ".join(f'"model-{number}"' for number in range(10_000))
    huge.write_text(f'[endpoints.huge]\nurl = "http://127.0.0.1:9"\nmodels = [{names}]\n')
    with capture_logs() as logs:
        async with discoverer(settings, files(tmp_path)) as up:

            async def noted() -> bool:
                return "cannot be published" in (await up.services[0].notes() or "")

            async def well() -> bool:
                return not await noted()

            await eventually(noted, what="a note on the entry")
            edit(tmp_path / "gpu.toml", '[endpoints.gpu]\nurl = "http://127.0.0.1:9"\n')
            await until_states(bus, "directory", gpu="there")
            assert await noted()
            huge.unlink()
            await eventually(well, what="no note any more")
    problems = [one["reason"] for one in logs if one["event"] == "discovery.problem"]
    assert len(problems) == 1
    assert "huge.toml huge: cannot be published: " in problems[0]


async def test_what_went_long_ago_is_forgotten(bus: Bus, settings: Settings, tmp_path: Path) -> None:
    """Each pod of each rollout would stay in the stream for good. What went a moment ago stays."""
    for name, days in (("old", 3), ("new", 0)):
        at = bus.clock.now() - timedelta(days=days)
        gone = EndpointAppeared(
            id=ids.derive(at, name), at=at, source="directory", endpoint=name, state="gone"
        )
        await bus.publisher.advance("APPEARED", gone.subject, lambda _, gone=gone: gone)
    async with discoverer(settings, files(tmp_path)):
        await until_states(bus, "directory", new="gone")


async def test_what_was_there_before_a_restart_stays_while_the_source_is_away(
    bus: Bus, settings: Settings, url: str, tmp_path: Path
) -> None:
    """Also with no grace at all: what cannot be seen is not gone. What is seen again may change."""
    directory = tmp_path / "endpoints.d"
    directory.mkdir()
    (directory / "gpu.toml").write_text(f'[endpoints.gpu]\nurl = "{url}"\n')
    async with discoverer(settings, files(directory)) as up:
        await until_models(up, lambda found: found == {"gpu"})
    directory.rename(tmp_path / "away")
    async with discoverer(settings, files(directory)) as up:

        async def noted() -> bool:
            return "cannot be read" in (await up.services[0].notes() or "")

        await eventually(noted, what="a note on the directory")
        assert await states(bus, "directory") == {"gpu": "there"}
        (tmp_path / "away").rename(directory)
        (directory / "gpu.toml").unlink()
        await until_states(bus, "directory", gpu="gone")


async def test_a_cluster_brings_endpoints_that_sleep_wake_and_name_keys(
    bus: Bus, settings: Settings, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is scaled to zero is known and not contacted. A key is one of its own namespace."""
    monkeypatch.setenv("ML_KEY", "sesame")
    services = "/api/v1/namespaces/ml/services"
    slices = "/apis/discovery.k8s.io/v1/namespaces/ml/endpointslices"
    async with cluster(tmp_path) as (served, kubeconfig):
        served.allow(services, slices)
        annotations = {"vedette.dev/provider": "ollama", "vedette.dev/key": "box"}
        host, _, port = url.removeprefix("http://").partition(":")
        external = {
            "metadata": {"name": "box", "namespace": "ml", "annotations": annotations},
            "spec": {"type": "ExternalName", "externalName": host, "ports": [{"port": int(port)}]},
        }
        asleep = {
            "metadata": {"name": "idle", "annotations": {"vedette.dev/provider": "ollama"}},
            "spec": {"ports": [{"port": 80}]},
        }
        wrong = {
            "metadata": {"name": "wrong", "annotations": {"vedette.dev/provider": "olama"}},
            "spec": {"ports": [{"port": 80}]},
        }
        for one in (external, asleep, wrong):
            served.put(services, one)
        discovery = Discovery(
            grace_s=0,
            keys={"ml/box": Secret(env="ML_KEY")},
            kubernetes=Kubernetes(enabled=True, kubeconfig=str(kubeconfig), hosts=(host,)),
        )
        async with discoverer(settings, discovery) as up:
            await until_models(up, lambda found: found == {"ml-box"})
            await until_states(bus, "kubernetes", ml_box="there", ml_idle="asleep", ml_wrong="refused")
            assert up.reloading is not None
            await up.reloading.redefine()
            current = up.reloading.current
            assert current.endpoints["ml-box"].api_key == Secret(env="ML_KEY")
            assert current.defined.origins["ml-idle"].closed == "asleep: scaled to zero"
            (left_out,) = current.defined.left_out
            assert left_out.endpoint == "ml-wrong"
            assert "Service ml/wrong: vedette.dev/provider: no provider is called 'olama'" in left_out.why
            served.delete(services, "box")
            await until_models(up, lambda found: not found)
    assert await bus.streams.count("ENDPOINTS", "endpoint.observed.ml-idle") == 0
