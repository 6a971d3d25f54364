"""Endpoints from SRV records (RFC 2782): each target of a name is one endpoint."""

import asyncio
import ipaddress
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.resolver
from dns.rdtypes.IN.SRV import SRV
from msgspec import Struct

from vedette.settings.sources import Srv
from vedette_discoverer.sources.naming import named
from vedette_discoverer.sources.view import View, Wanted, together

_MAX_TARGETS: Final = 1000
_PORT: Final = re.compile(r"(?:\[(?P<six>[^]]+)\]|(?P<host>[^:]+)):(?P<port>\d{1,5})\Z")


class Target(Struct, frozen=True, order=True):
    """The target of one record."""

    host: str
    port: int


class Names:
    """The targets of all names under `[discovery.dns]`, resolved every few seconds.

    A name without records has no endpoints. If the DNS servers do not reply, nothing changes.
    """

    name = "dns"

    def __init__(self, pools: Mapping[str, Srv]) -> None:
        self._pools = pools
        self.every_s = min(one.every_s for one in pools.values())

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Do nothing: each DNS query has its own socket."""
        yield

    async def view(self) -> View:
        """Return the current records."""
        views = await asyncio.gather(*(_ask(pool, settings) for pool, settings in self._pools.items()))
        return together(views)


async def _ask(pool: str, settings: Srv) -> View:
    scope = f"SRV {settings.name} "
    try:
        resolver = _resolver(settings)
        answer = await resolver.resolve(settings.name, "SRV", lifetime=settings.timeout_s, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return View(notes=(f"SRV {settings.name}: no records",))
    except (dns.exception.DNSException, OSError, ValueError) as error:
        return View(unseen={scope: " ".join(f"{type(error).__name__}: {error}".split())})
    targets = [
        Target(record.target.to_text(omit_final_dot=True).lower(), record.port)
        for record in answer
        if isinstance(record, SRV)
    ]
    return View(wanted=tuple(endpoints(pool, settings, targets)))


def _resolver(settings: Srv) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=not settings.servers)
    if settings.servers:
        resolver.nameservers = [
            dns.nameserver.Do53Nameserver(host, port) for host, port in map(place_of, settings.servers)
        ]
    return resolver


def endpoints(pool: str, settings: Srv, targets: Iterable[Target]) -> Iterator[Wanted]:
    """Yield an endpoint for each of *targets*, at most 1,000. The target "." means that the service is not offered."""
    for target in sorted({one for one in targets if one.host not in ("", ".")})[:_MAX_TARGETS]:
        yield Wanted(
            name=named(pool, target.host, str(target.port)),
            origin=f"SRV {settings.name} {target.host}:{target.port}",
            settings={
                "provider": settings.provider,
                "url": f"{settings.scheme}://{target.host}:{target.port}{settings.path.rstrip('/')}",
            },
            key=settings.key,
        )


def place_of(server: str) -> tuple[str, int]:
    """Return the address and port of *server*, such as `10.0.0.53` (port 53) or `[::1]:5353`. Raises ValueError."""
    found = _PORT.match(server)
    host = (found["six"] or found["host"]) if found else server.strip("[]")
    ipaddress.ip_address(host)
    return host, int(found["port"]) if found else 53
