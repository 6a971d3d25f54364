"""Which sources of endpoints the configuration asks for."""

from collections.abc import Collection, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from vedette.clock import Clock
from vedette.errors import ConfigurationError
from vedette.local import installing
from vedette.settings.discovery import Discovery
from vedette_discoverer.sources.view import View


class Source(Protocol):
    """A source of endpoints. While it is open, its `view` is read every `every_s` seconds."""

    name: str
    every_s: float

    def open(self) -> AbstractAsyncContextManager[None]:
        """Get it ready for `view`. It opens even while the place that it reads is unreachable."""
        ...

    async def view(self) -> View:
        """Return everything that it sees now, including the places that it cannot read."""
        ...


def sources(settings: Discovery, *, providers: Collection[str], clock: Clock) -> Iterator[Source]:
    """Yield the sources of *settings*. Raises ConfigurationError where a library is not installed."""
    # Each is imported when it is used: none of the libraries is needed without its section.
    if "kubernetes" in settings.sources:
        try:
            from vedette_discoverer.sources.kubernetes.watching import Watching
        except ImportError as error:
            raise _missing("kubernetes", "lightkube") from error
        yield Watching(settings.kubernetes, providers=providers)
    if "directory" in settings.sources:
        from vedette_discoverer.sources.files import Files

        yield Files(settings.file)
    if "dns" in settings.sources:
        try:
            from vedette_discoverer.sources.dns import Names
        except ImportError as error:
            raise _missing("dns", "dnspython") from error
        yield Names(settings.dns)
    if "docker" in settings.sources:
        from vedette_discoverer.sources.docker import Containers

        yield Containers(settings.docker, providers=providers, clock=clock)


def _missing(section: str, library: str) -> ConfigurationError:
    return ConfigurationError(
        where=f"discovery.{section}",
        problem=f"{library} is not installed; install it ({installing.command(section)})",
    )
