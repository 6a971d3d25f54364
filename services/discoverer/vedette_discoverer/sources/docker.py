"""Endpoints of containers on the local Docker engine, by their labels `vedette.dev/…`.

https://docs.docker.com/reference/api/engine/ (`GET /containers/json`); Podman has the same API.
"""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from vedette.clock import Clock
from vedette.errors import ProviderError
from vedette.providers.engine import Engine, open_engine
from vedette.settings.sources import Docker
from vedette_discoverer.sources import asking
from vedette_discoverer.sources.asking import PREFIX, Asked
from vedette_discoverer.sources.naming import named
from vedette_discoverer.sources.shapes import at, mapping, sequence, words
from vedette_discoverer.sources.view import Refused, Unfit, View, Wanted

_MAX_CONTAINERS: Final = 1000
_ANYWHERE: Final = ("0.0.0.0", "::", "")  # noqa: S104 - addresses that an engine reports; nothing listens there


class Containers:
    """The running containers with labels, listed every few seconds. If the engine is away, nothing changes."""

    name = "docker"

    def __init__(self, settings: Docker, *, providers: Collection[str], clock: Clock) -> None:
        self._settings = settings
        self._providers = providers
        self._clock = clock
        self._engine: Engine | None = None
        self.every_s = settings.every_s

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Keep the engine's socket open for requests."""
        async with open_engine(self._settings.socket, clock=self._clock) as self._engine:
            yield

    async def view(self) -> View:
        """Return the running containers."""
        assert self._engine is not None, "viewed before it was opened"  # noqa: S101 - a slip of ours
        try:
            found = await self._engine.containers(f"{PREFIX}provider")
        except ProviderError as error:
            return View(unseen={"": f"{self._settings.socket}: {error.detail or error.outcome}"})
        return read(found, self._settings, providers=self._providers)


def read(containers: Iterable[Any], settings: Docker, *, providers: Collection[str]) -> View:
    """Return the endpoints of *containers*, as the engine lists them."""
    wanted: list[Wanted] = []
    refused: list[Refused] = []
    things = [one for one in containers if isinstance(one, Mapping)]
    for thing in sorted(things, key=_name)[:_MAX_CONTAINERS]:
        name = _name(thing)
        origin = f"container {name}"
        try:
            ask = asking.asked(words(thing.get("Labels")), providers=providers)
            if ask.ignore != "true":
                wanted.append(_endpoint(thing, ask, settings, origin))
        except Unfit as why:
            refused.append(Refused(name=named(name), origin=origin, reason=str(why)))
    return View(wanted=tuple(wanted), refused=tuple(refused))


def _endpoint(thing: Mapping[str, Any], ask: Asked, settings: Docker, origin: str) -> Wanted:
    if ask.replicas == "each":
        raise Unfit(f"{PREFIX}replicas: each is for Services of Kubernetes; a container is one endpoint")
    if ask.provider is None:
        raise Unfit(f"{PREFIX}provider is missing; it makes a container an endpoint")
    ports = [one for one in map(mapping, sequence(thing.get("Ports"))) if one.get("Type") == "tcp"]
    host, port = (_in_network if settings.network else _published)(thing, ports, ask, settings)
    bracketed = f"[{host}]" if ":" in host else host
    url = f"{ask.scheme or 'http'}://{bracketed}:{port}{(ask.path or '').rstrip('/')}"
    paused = thing.get("State") == "paused"
    return Wanted(
        name=named(ask.name or _name(thing)),
        origin=origin,
        settings=asking.settings_of(ask, provider=ask.provider, url=url, group=ask.host_group),
        key=f"docker/{ask.key}" if ask.key else None,
        state="asleep" if paused else "there",
        reason="the container is paused" if paused else "",
    )


def _published(
    thing: Mapping[str, Any], ports: list[Mapping[str, Any]], ask: Asked, settings: Docker
) -> tuple[str, int]:
    """Return where the host publishes the port of the container. Raises Unfit."""
    published = [one for one in ports if isinstance(one.get("PublicPort"), int)]
    port = _chosen(published, ask, "publishes", "-p or ports")
    address = str(port.get("IP") or "")
    return (settings.host if address in _ANYWHERE else address), port["PublicPort"]


def _in_network(
    thing: Mapping[str, Any], ports: list[Mapping[str, Any]], ask: Asked, settings: Docker
) -> tuple[str, int]:
    """Return the container's name in the network, which Docker resolves, and its port. Raises Unfit."""
    if settings.network not in mapping(at(thing, "NetworkSettings", "Networks")):
        raise Unfit(f"is not in the network {settings.network}")
    return _name(thing), _chosen(ports, ask, "exposes", "EXPOSE")["PrivatePort"]


def _chosen(ports: list[Mapping[str, Any]], ask: Asked, does: str, how: str) -> Mapping[str, Any]:
    """Return the port with the wanted number (inside the container), or the only one of *ports*. Raises Unfit."""
    numbers = sorted({one["PrivatePort"] for one in ports if isinstance(one.get("PrivatePort"), int)})
    wanted = int(ask.port) if ask.port and ask.port.isdecimal() else None
    if ask.port and wanted is None:
        raise Unfit(f"{PREFIX}port: a container's ports have no names; give the number inside the container")
    if wanted is None and len(numbers) == 1:
        wanted = numbers[0]
    if not numbers:
        raise Unfit(f"{does} no TCP port ({how})")
    if wanted is None:
        raise Unfit(f"{does} several ports; choose one by {PREFIX}port: {', '.join(map(str, numbers))}")
    first = next((one for one in ports if one.get("PrivatePort") == wanted), None)
    if first is None:
        raise Unfit(f"{PREFIX}port: it {does} no port {wanted}, but {', '.join(map(str, numbers))}")
    return first


def _name(thing: Mapping[str, Any]) -> str:
    names = sequence(thing.get("Names"))
    return str(names[0] if names else thing.get("Id") or "container").lstrip("/")[:128]
