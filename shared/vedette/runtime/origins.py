"""Where a request over HTTP comes from: hosts, addresses, other sites, and how often one caller may ask. Pure."""

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

_MAX_CALLERS: Final = 10_000


class Hosts:
    """The names under which the console may be reached: another name is a site that was pointed here."""

    def __init__(self, host: str, also: Iterable[str] = ()) -> None:
        self._names = {name.casefold() for name in also} | {host.casefold()}
        self._loopback = is_loopback(host)

    def allows(self, header: str) -> bool:
        """Return whether the `Host` *header* names the console. An address does: no name server can point it."""
        name = host_of(header)
        return name.casefold() in self._names or is_address(name) or (self._loopback and is_loopback(name))


def host_of(header: str) -> str:
    """Return the host of a `Host` header, without the port and the brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def is_loopback(host: str) -> bool:
    """Return whether *host* is this machine, by its address or by the names that every system gives it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost" or host.casefold().endswith(".localhost")


def is_address(host: str) -> bool:
    """Return whether *host* is an address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_within(host: str, networks: Sequence[str]) -> bool:
    """Return whether the address *host* is in one of *networks*."""
    try:
        address = ipaddress.ip_address(host)
        return any(address in ipaddress.ip_network(network, strict=False) for network in networks)
    except ValueError:
        return False


class Rate:
    """Allows each caller *burst* requests at once, and *per_s* a second from then on."""

    def __init__(self, *, burst: float, per_s: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests left, and when that was

    def left(self, caller: str, now: float) -> float:
        """Return how many requests of *caller* are allowed at once at *now*."""
        left, at = self._left.get(caller, (self._burst, now))
        return min(self._burst, left + (now - at) * self._per_s)

    def left_s(self, caller: str, now: float) -> float:
        """Return what `wait_s` would, and count nothing."""
        left = self.left(caller, now)
        return 0.0 if left >= 1.0 else (1.0 - left) / self._per_s

    def wait_s(self, caller: str, now: float) -> float:
        """Count a request of *caller* at *now*; return 0, or the seconds after which it is allowed."""
        left, at = self._left.pop(caller, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_s)
        allowed = left >= 1.0
        self._left[caller] = (left - 1.0 if allowed else left, now)
        while len(self._left) > _MAX_CALLERS:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / self._per_s


def is_cross_site(headers: Mapping[str, str], host: str) -> bool:
    """Return whether a browser says that another site sends this. Clients that are no browsers say nothing."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and origin.partition("://")[2] != host
