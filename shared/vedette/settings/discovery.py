"""`[discovery]`: endpoints that appear without a line in this file."""

from collections.abc import Iterator
from typing import Annotated, Final

from msgspec import Meta

from vedette.settings.section import Problem, Secret, Section
from vedette.settings.sources import Directory, Docker, Kubernetes, Srv, wrong_with_pools

SOURCES: Final = ("directory", "dns", "docker", "kubernetes")


class Discovery(Section, frozen=True, kw_only=True):
    """The sources of endpoints, and what endpoints from sources may use.

    `keys` are secrets that such endpoints may name. `grace_s` is how long a missing endpoint is kept (asleep) before it
    is removed.
    """

    grace_s: Annotated[float, Meta(ge=0, le=86400)] = 60.0
    keys: dict[str, Secret] = {}
    kubernetes: Kubernetes = Kubernetes()
    file: Directory = Directory()
    dns: dict[str, Srv] = {}
    docker: Docker = Docker()

    @property
    def sources(self) -> tuple[str, ...]:
        """The names of the enabled sources."""
        on = {
            "dns": bool(self.dns),
            "docker": self.docker.enabled,
            "directory": self.file.path is not None,
            "kubernetes": self.kubernetes.enabled,
        }
        return tuple(name for name in SOURCES if on[name])

    def check(self) -> Iterator[Problem]:
        """Yield problems of the names under `[discovery.dns]`."""
        yield from wrong_with_pools(self.dns)
