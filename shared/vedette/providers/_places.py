"""Finds out whether a server runs on your own machines, by its address and not by its listing."""

import asyncio
import ipaddress
import re
import socket
from typing import Final
from urllib.parse import urlsplit

from vedette.providers import Access
from vedette.providers.addresses import http_url

# Carrier-grade NAT (RFC 6598): Tailscale takes addresses of its hosts from it.
_TAILNET: Final = ipaddress.ip_network("100.64.0.0/10")
# Suffixes of names in private networks (RFC 6762, RFC 8375, ICANN's .internal), clusters and tailnets.
_OWN_SUFFIXES: Final = (
    ".local",
    ".localhost",
    ".internal",
    ".intranet",
    ".corp",
    ".lan",
    ".localdomain",
    ".test",
    ".home",
    ".home.arpa",
    ".svc",
    ".cluster.local",
    ".ts.net",
)
# Addresses as `inet_aton` reads them: `127.1`, one number, parts in hexadecimal or octal.
_NUMBER: Final = r"(?:0x[0-9a-f]+|\d+)"
_OLD_FORM: Final = re.compile(rf"{_NUMBER}(?:\.{_NUMBER}){{0,3}}", re.IGNORECASE)
_LOOK_UP_TIMEOUT_S: Final = 2.0


def is_ours(url: str) -> bool:
    """Return whether the host in *url* is a private address, or a name of a private network. Resolves no name."""
    host = _host(http_url(url))
    try:
        return _is_own(_address(host))
    except (ValueError, OSError):
        return "." not in host or host.endswith(_OWN_SUFFIXES)


async def stands_on_own_machine(access: Access) -> bool:
    """Return whether the server is on a machine of your own: as configured, else by its address.

    A public name counts if all its addresses are private. Loopback does not count then, because any owner of a name
    can point it at loopback.
    """
    if access.locality is not None:
        return access.locality == "local"
    if is_ours(access.url):
        return True
    host = _host(access.url)
    try:
        _address(host)
    except (ValueError, OSError):
        found = await _addresses(host)
        return bool(found) and all(_is_own(address) and not address.is_loopback for address in found)
    return False


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").rstrip(".").partition("%")[0]


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address in the text *host*. Raises ValueError or OSError for a name."""
    if _OLD_FORM.fullmatch(host):
        return ipaddress.IPv4Address(socket.inet_aton(host))
    return ipaddress.ip_address(host)


def _is_own(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    own = address.is_private or address.is_loopback or address.is_link_local
    return own or (address.version == _TAILNET.version and address in _TAILNET)


async def _addresses(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        async with asyncio.timeout(_LOOK_UP_TIMEOUT_S):
            entries = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries]
    except (TimeoutError, OSError, ValueError):
        return []
