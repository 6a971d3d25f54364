"""Limits where connections may go. A name is resolved once, and the connection goes to an address that was checked.

The operator is trusted, but the owner of a host name is not. That owner can change its address at any time, for
example to the address of a cloud's metadata service, which gives out credentials.
"""

import asyncio
import socket
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import httpcore

Address = IPv4Address | IPv6Address

# Metadata services that give out credentials, outside the link-local network.
_METADATA = (
    "100.100.100.200/32",  # Alibaba
    "168.63.129.16/32",  # Azure
    "192.0.0.192/32",  # Oracle
    "fd00:ec2::/32",  # AWS
    "fd00:42::42/128",  # Scaleway
    "fd20:ce::254/128",  # Google
)
# Networks without model servers: link-local (most clouds' metadata services), multicast, broadcast.
_NEVER = tuple(
    map(
        ip_network,
        ("169.254.0.0/16", "fe80::/10", "224.0.0.0/4", "255.255.255.255/32", "ff00::/8", *_METADATA),
    )
)
# IPv4 addresses that are forbidden in the last 32 bits of any IPv6 address, because the prefix of a local NAT64
# (RFC 6052) is not known. Of 169.254.0.0/16 it is only one address.
_LAST_32_BITS = frozenset(
    int(ip_network(network).network_address) for network in ("169.254.169.254/32", *_METADATA[:3])
)
_NAT64 = ip_network("64:ff9b::/96")
_LOCAL_NAT64 = ip_network("64:ff9b:1::/48")
# Networks of IPv6 whose last 32 bits are an IPv4 address: NAT64, IPv4-compatible, IPv4-translated.
_EMBEDDING = (_NAT64, _LOCAL_NAT64, ip_network("::/96"), ip_network("::ffff:0:0:0/96"))
_ISATAP = (0x00005EFE, 0x02005EFE)  # the third 32 bits of an address that ends in an IPv4 one


class Forbidden(httpcore.ConnectError):
    """The connection is forbidden; the text says why."""


def refused(host: str, address: str, allowed: Sequence[str]) -> str | None:
    """Return why a connection to *host* at *address* is forbidden, or None.

    *allowed* holds networks, and host names in which `*` stands for any text. Empty: all are allowed.
    """
    written = ip_address(address.partition("%")[0])
    place = _plain(written)
    if _is_forbidden(written):
        return f"{host} is at {address}, an address that Vedette never connects to"
    if allowed and not (_named(host, allowed) or _within(place, allowed)):
        return f"{host} ({address}) is not in outbound.allow"
    return None


def socket_refused(path: str, allowed: Sequence[str]) -> str | None:
    """Return why a connection to the unix socket at *path* is forbidden, or None. Empty *allowed*: all are allowed."""
    if allowed and not _named(path, allowed):
        return f"the socket {path} is not in outbound.allow"
    return None


def _plain(address: Address) -> Address:
    """Return the IPv4 address in *address* (IPv4-mapped or NAT64), else *address*."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_forbidden(address: Address) -> bool:
    if isinstance(address, IPv6Address) and int(address) & 0xFFFFFFFF in _LAST_32_BITS:
        return True
    return any(place in network for place in (address, *_embedded(address)) for network in _NEVER)


def _embedded(address: Address) -> Iterator[IPv4Address]:
    """Yield every IPv4 address to which a packet for *address* may be forwarded."""
    if isinstance(address, IPv4Address):
        return
    bits = int(address)
    if address.ipv4_mapped:
        yield address.ipv4_mapped
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo
    if any(address in network for network in _EMBEDDING) or bits >> 32 & 0xFFFFFFFF in _ISATAP:
        yield IPv4Address(bits & 0xFFFFFFFF)
    if (
        address in _LOCAL_NAT64
    ):  # RFC 6052 with a prefix of 48, 56 or 64 bits: around the byte that must be zero
        for shift in (40, 32, 24):
            yield IPv4Address(_around_byte_8(bits, shift))


def _around_byte_8(bits: int, shift: int) -> int:
    """Return 32 of the *bits*, after dropping byte 8 (RFC 6052) and the last *shift* bits."""
    joined = (bits >> 64 << 56) | (bits & (1 << 56) - 1)
    return joined >> shift & 0xFFFFFFFF


def _named(host: str, allowed: Iterable[str]) -> bool:
    return any(fnmatchcase(host.lower(), pattern.lower()) for pattern in allowed)


def _within(address: Address, allowed: Iterable[str]) -> bool:
    for pattern in allowed:
        try:
            if address in ip_network(pattern):
                return True
        except ValueError:
            continue  # the name of a host
    return False


async def _addresses(host: str, port: int, timeout: float | None) -> Sequence[str]:
    """Return the addresses of *host*. Raises httpcore.ConnectError, ConnectTimeout."""
    try:
        return (str(ip_address(host)),)  # already an address
    except ValueError:
        pass
    try:
        async with asyncio.timeout(timeout):
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise httpcore.ConnectTimeout from error
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(str(error)) from error
    return tuple(dict.fromkeys(str(address[4][0]) for address in found))


class Guarded(httpcore.AsyncNetworkBackend):
    """Connects by *backend*, only to addresses and unix sockets that *allowed* permits."""

    def __init__(self, allowed: Sequence[str], backend: httpcore.AsyncNetworkBackend) -> None:
        self._allowed = allowed
        self._backend = backend

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of *host* that is allowed and accepts.

        Raises httpcore.ConnectError (Forbidden if no address is allowed) and ConnectTimeout.
        """
        failure: httpcore.ConnectError | None = None
        for address in await _addresses(host, port, timeout):
            if problem := refused(host, address, self._allowed):
                failure = failure or Forbidden(problem)
                continue
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the socket at *path*. Raises Forbidden, httpcore.ConnectError, ConnectTimeout."""
        if problem := socket_refused(path, self._allowed):
            raise Forbidden(problem)
        return await self._backend.connect_unix_socket(path, timeout, socket_options)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)
