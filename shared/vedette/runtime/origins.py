"""Checks where an HTTP request comes from: host names, addresses, other sites; and limits its rate. Pure."""

import ipaddress
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

_MAX_CALLERS: Final = 10_000


class Hosts:
    """The host names of the console. A request with another name comes from a site that was pointed at this address."""

    def __init__(self, host: str, also: Iterable[str] = ()) -> None:
        self._names = {name.casefold() for name in also} | {host.casefold()}
        self._loopback = is_loopback(host)

    def allows(self, header: str) -> bool:
        """Return whether the `Host` *header* is a name of the console, or an IP address, which needs no DNS."""
        name = host_of(header)
        return name.casefold() in self._names or is_address(name) or (self._loopback and is_loopback(name))


def host_of(header: str) -> str:
    """Return the host in a `Host` header, without port and brackets."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def is_loopback(host: str) -> bool:
    """Return whether *host* is this machine: a loopback address, or a name that every system gives it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.casefold() == "localhost" or host.casefold().endswith(".localhost")


def is_address(host: str) -> bool:
    """Return whether *host* is an IP address."""
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
    """Allows each caller *burst* requests at once, and then *per_s* requests per second."""

    def __init__(self, *, burst: float, per_s: float) -> None:
        self._burst = burst
        self._per_s = per_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests left, at that time

    def left(self, caller: str, now: float) -> float:
        """Return the number of requests that *caller* may send at once at *now* (monotonic seconds)."""
        left, at = self._left.get(caller, (self._burst, now))
        return min(self._burst, left + (now - at) * self._per_s)

    def left_s(self, caller: str, now: float) -> float:
        """Return the same as `wait_s`, without counting a request."""
        left = self.left(caller, now)
        return 0.0 if left >= 1.0 else (1.0 - left) / self._per_s

    def wait_s(self, caller: str, now: float) -> float:
        """Count a request of *caller* at *now*; return 0, or the time until it is allowed (s)."""
        left, at = self._left.pop(caller, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_s)
        allowed = left >= 1.0
        self._left[caller] = (left - 1.0 if allowed else left, now)
        while len(self._left) > _MAX_CALLERS:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1.0 - left) / self._per_s


def is_cross_site(headers: Mapping[str, str], host: str) -> bool:
    """Return whether a browser reports that another site sent this request. Other clients report nothing."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return origin is not None and origin.partition("://")[2] != host
