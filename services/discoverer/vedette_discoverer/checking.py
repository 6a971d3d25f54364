"""The discoverer's checks of a configuration."""

from collections.abc import Iterator
from pathlib import Path

from vedette import providers
from vedette.clock import SystemClock
from vedette.errors import ConfigurationError
from vedette.settings import Settings
from vedette_discoverer.sources.opening import sources


def problems(settings: Settings) -> Iterator[ConfigurationError]:
    """Yield the problems of the sources of endpoints that can be found without a connection."""
    discovery = settings.discovery
    try:
        list(sources(discovery, providers=providers.names(), clock=SystemClock()))
    except ConfigurationError as error:
        yield error
    if discovery.file.path is not None and not Path(discovery.file.path).is_dir():
        problem = f"{discovery.file.path} is not a directory"
        yield ConfigurationError(where="discovery.file.path", problem=problem)
    kubeconfig = discovery.kubernetes.kubeconfig
    if discovery.kubernetes.enabled and kubeconfig is not None and not Path(kubeconfig).is_file():
        yield ConfigurationError(
            where="discovery.kubernetes.kubeconfig", problem=f"{kubeconfig} is not a file"
        )
    for name, pool in discovery.dns.items():
        if pool.provider not in providers.names():
            problem = (
                f"no provider is called {pool.provider!r}; known: {', '.join(sorted(providers.names()))}"
            )
            yield ConfigurationError(where=f"discovery.dns.{name}.provider", problem=problem)
        if pool.key is not None and pool.key not in discovery.keys:
            problem = f"the key {pool.key!r} is not in [discovery.keys]"
            yield ConfigurationError(where=f"discovery.dns.{name}.key", problem=problem)
