"""A changed configuration: what of it can be taken on, when it is read, and that all services take it on or none."""

import asyncio
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from commands import edit
from eventually import eventually
from vedette.endpoints import look_again_s
from vedette.errors import ConfigurationError
from vedette.runtime.reloading import Reloading, changes, merge, restarts
from vedette.settings import Settings, Source, load, parse

CONFIG = """
[endpoints.a]
url = "http://127.0.0.1:1"
"""


def settings(text: str) -> Settings:
    """Return the settings that *text* gives."""
    return parse(tomllib.loads(text), where="test", environ={})


def write(file: Path, text: str | None) -> None:
    """Have *text* in *file*, or no file."""
    if text is None:
        file.unlink()
    else:
        edit(file, text)


class Taking:
    """A service that takes on settings, but none with an endpoint called `never`, where it is *choosy*."""

    def __init__(self, settings: Settings, *, choosy: bool = False) -> None:
        self.settings = settings
        self.taken: list[Settings] = []
        self._choosy = choosy

    async def reload(self, settings: Settings) -> None:
        if self._choosy and "never" in settings.endpoints:
            raise ConfigurationError(where="endpoints.never", problem="its key is not set")
        self.settings = settings
        self.taken.append(settings)


class Watched:
    """A Reloading that watches *file*, the services it tells, and the lines it says."""

    def __init__(self, file: Path, *, choosy: bool = False) -> None:
        started = load(str(file))
        self.first, self.last = Taking(started), Taking(started, choosy=choosy)
        self.lines: list[str] = []
        self.hung_up = asyncio.Event()
        source = Source(file, lambda: load(str(file)), started)
        self.reloading = Reloading(source, [self.first, self.last], self.lines.append, look_every_s=0.05)

    async def until(self, condition: Callable[[], bool]) -> None:
        async def ask() -> bool:
            return condition()

        await eventually(ask, what=f"a reload (said: {self.lines})")


@asynccontextmanager
async def watching(file: Path, *, choosy: bool = False) -> AsyncIterator[Watched]:
    """Watch *file* while the context is open."""
    watched = Watched(file, choosy=choosy)
    task = asyncio.create_task(watched.reloading.run(watched.hung_up))
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a configuration file."""
    path = tmp_path / "vedette.toml"
    path.write_text(CONFIG)
    return path


def test_changes_are_named() -> None:
    old = settings(CONFIG + '[schedule]\navailability = "30m"')
    new = settings(
        '[endpoints.b]\nurl = "http://127.0.0.1:2"\n'
        '[schedule]\navailability = "10s"\n[recommend.use_cases.mine]\nweights = {speed = 1}'
    )
    assert changes(old, new) == [
        "endpoint b added",
        "endpoint a removed",
        "schedule.availability 30m -> 10s",
        "recommend.use_cases changed",
    ]
    assert changes(old, old) == []


def test_what_needs_a_restart_is_named_and_left_as_it_is() -> None:
    old, new = settings(CONFIG), settings(CONFIG + '[nats]\nurl = "nats://other:4222"\n[probing]\nwindow = 3')
    assert restarts(old, new) == ["nats.url", "probing.window"]
    assert merge(old, new) == old


@pytest.mark.fault("a configuration that one service cannot take on", "I5")
async def test_a_service_that_refuses_leaves_all_as_they_were(file: Path) -> None:
    """The first service took it on already: it is given back what it had."""
    watched = Watched(file, choosy=True)
    write(file, CONFIG + '[endpoints.never]\nurl = "http://127.0.0.1:2"')
    await watched.reloading.reload()
    assert list(watched.first.settings.endpoints) == list(watched.last.settings.endpoints) == ["a"]
    assert "endpoints.never: its key is not set" in (await watched.reloading.note() or "")
    assert "stays in force" in watched.lines[-1]
    write(file, CONFIG)
    await watched.reloading.reload()
    assert await watched.reloading.note() is None


async def test_a_changed_file_is_taken_on(file: Path) -> None:
    async with watching(file) as watched:
        write(file, CONFIG + '[endpoints.b]\nurl = "http://127.0.0.1:2"')
        await watched.until(lambda: bool(watched.lines))
        assert watched.lines == ["config    reloaded: endpoint b added"]
        assert "b" in watched.last.settings.endpoints


@pytest.mark.fault("a broken configuration file while Vedette runs", "I5")
async def test_a_broken_file_is_refused_until_it_is_corrected(file: Path) -> None:
    async with watching(file) as watched:
        write(file, "[endpoints.")
        await watched.until(lambda: bool(watched.lines))
        assert "refused" in watched.lines[0]
        assert "not valid TOML" in watched.lines[0]
        write(file, None)
        await watched.until(lambda: len(watched.lines) == 2)
        assert "cannot be read" in watched.lines[1]
        assert watched.last.settings.endpoints["a"].url == "http://127.0.0.1:1"
        write(file, CONFIG.replace(":1", ":3"))
        await watched.until(lambda: len(watched.lines) == 3)
        assert watched.last.settings.endpoints["a"].url == "http://127.0.0.1:3"


async def test_a_symbolic_link_that_leads_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As kubelet brings a changed ConfigMap."""
    for version, port in (("v1", 1), ("v2", 2)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "vedette.toml").write_text(CONFIG.replace(":1", f":{port}"))
    (tmp_path / "..data").symlink_to("v1")
    (tmp_path / "vedette.toml").symlink_to("..data/vedette.toml")
    async with watching(tmp_path / "vedette.toml") as watched:
        (tmp_path / "..tmp").symlink_to("v2")
        (tmp_path / "..tmp").rename(tmp_path / "..data")
        await watched.until(lambda: watched.last.settings.endpoints["a"].url == "http://127.0.0.1:2")


async def test_a_secret_in_a_file_that_is_rotated_is_a_change(file: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    write(key, "one")
    write(file, f'{CONFIG}api_key = {{ file = "{key}" }}')
    async with watching(file) as watched:
        await watched.until(lambda: len(watched.last.taken) == 1)
        write(key, "two")
        await watched.until(lambda: len(watched.last.taken) == 2)


async def test_hanging_up_twice_reads_it_again(file: Path) -> None:
    async with watching(file) as watched:
        watched.hung_up.set()
        watched.hung_up.set()
        await watched.until(lambda: len(watched.last.taken) >= 1)
        assert {line.partition(":")[0] for line in watched.lines} == {"config    reloaded"}


@pytest.mark.parametrize(("age_s", "wait_s"), [(-5, 1), (0.2, 1), (1, 1), (4, 4), (29, 29), (100, 30)])
def test_a_job_of_an_endpoint_not_known_yet_is_tried_again_soon(age_s: float, wait_s: float) -> None:
    """Another replica took on what an operator added a second earlier; a changed file takes minutes."""
    assert look_again_s(timedelta(seconds=age_s)) == wait_s
