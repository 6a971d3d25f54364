"""`[discovery.kubernetes]`, `.file`, `.dns` and `.docker`: sources of endpoints outside this file."""

import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from msgspec import Meta

from vedette.settings.section import Problem, Seconds, Section

_NAMESPACE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_POOL: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,19}\Z")
_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?\Z")

Host = Annotated[str, Meta(min_length=1, max_length=253)]


class Kubernetes(Section, frozen=True, kw_only=True):
    """Services and model servers of a cluster. Empty `namespaces`: only that of the discoverer.

    An object may lead only to its own namespace, and to `hosts` (names; `*` stands for any part).
    """

    enabled: bool = False
    namespaces: Annotated[tuple[str, ...], Meta(max_length=200)] = ()
    kubeconfig: str | None = None  # outside a cluster; default: the service account of the pod
    domain: str = ""  # for example cluster.local; default: from the search path of DNS
    hosts: tuple[Host, ...] = ()
    max_per_namespace: Annotated[int, Meta(ge=1, le=1000)] = 100

    def check(self) -> Iterator[Problem]:
        """Yield invalid names of namespaces."""
        for place, name in enumerate(self.namespaces):
            if not _NAMESPACE.match(name):
                yield f"namespaces[{place}]", f"{name!r} is not the name of a namespace"


class Directory(Section, frozen=True, kw_only=True):
    """A directory of TOML files with tables `[endpoints.NAME]`, and of llm-d's endpoint files (YAML or JSON)."""

    path: str | None = None
    every_s: Annotated[float, Meta(ge=0.1, le=3600)] = 2.0


class Srv(Section, frozen=True, kw_only=True):
    """The SRV records of one `name`; each target is an endpoint."""

    name: Annotated[str, Meta(min_length=3, max_length=253)]
    provider: str = "openai-compatible"
    scheme: Literal["http", "https"] = "http"
    path: str = ""
    key: str | None = None  # a name under [discovery.keys]
    servers: tuple[str, ...] = ()  # DNS servers, with a port if it is not 53; default: the system's
    every_s: Annotated[float, Meta(ge=1, le=3600)] = 30.0
    timeout_s: Seconds = 5.0

    def check(self) -> Iterator[Problem]:
        """Yield a problem of the path."""
        if not _PATH.match(self.path):
            yield "path", f"{self.path!r} is not a path such as /v1"


class Docker(Section, frozen=True, kw_only=True):
    """Containers of the local Docker engine with labels `vedette.dev/…`, read by its unix socket.

    A container is reached by its published port on `host`; with `network`, by its name in that network.
    """

    enabled: bool = False
    socket: str = "/var/run/docker.sock"
    host: Host = "127.0.0.1"
    network: str | None = None
    every_s: Annotated[float, Meta(ge=1, le=3600)] = 5.0


def wrong_with_pools(pools: dict[str, Srv]) -> Iterator[Problem]:
    """Yield names under `[discovery.dns]` that cannot be the start of an endpoint's name."""
    for name in pools:
        if not _POOL.match(name):
            yield f"dns.{name}", "a name is lower-case letters, digits and hyphens, at most 20"
