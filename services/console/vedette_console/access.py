"""Who may look and who may act: decisions on tokens, sessions, hosts and rates. Pure.

A session is a text that the console signs by a secret of its process: no other process can make one, and it ends with
the process.
"""

import hmac
import ipaddress
import secrets
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msgspec import Struct

Role = Literal["viewer", "operator"]
SESSION_S: Final = 12 * 3600
_MAX_CALLERS: Final = 10_000


class Caller(Struct, frozen=True):
    """Who sends a request: what the caller may do, and the session that says so, if it is one."""

    role: Role | None
    session: str | None = None

    @property
    def may_look(self) -> bool:
        """Whether pages and queries are for this caller."""
        return self.role is not None

    @property
    def may_act(self) -> bool:
        """Whether jobs are for this caller."""
        return self.role == "operator"


class Keys:
    """The tokens of the console, and what is signed by them. Where it is *open*, everybody may look."""

    def __init__(self, token: str | None, operator_token: str | None, *, open: bool) -> None:
        self.open = open
        self._token = token
        self._operator_token = operator_token
        self._key = secrets.token_bytes(32)  # nothing that a viewer knows

    @property
    def has_operator(self) -> bool:
        """Whether anybody may act."""
        return self._operator_token is not None

    def role_of(self, token: str) -> Role | None:
        """Return what *token* allows. Both tokens are compared whatever it is, and in constant time."""
        operator = _equal(token, self._operator_token)
        viewer = _equal(token, self._token)
        return "operator" if operator else "viewer" if viewer else None

    def session(self, role: Role, now: float, nonce: str) -> str:
        """Return a session of *role* that holds for SESSION_S from *now* (seconds since 1970)."""
        told = f"{role}.{int(now) + SESSION_S}.{nonce}"
        return f"{told}.{self._signed(told)}"

    def role_in(self, session: str, now: float) -> Role | None:
        """Return the role that *session* gives at *now*, or None where it is none of ours or is over."""
        told, _, signature = session.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signed(told).encode()):
            return None
        role, until, _ = told.split(".", 2)
        if int(until) < now:
            return None
        return "operator" if role == "operator" and self.has_operator else "viewer"

    def form_token(self, session: str) -> str:
        """Return what a form of *session* holds, so that no other site can send it."""
        return self._signed(f"form.{session}")

    def is_form_token(self, token: str, session: str) -> bool:
        """Return whether *token* is that of *session*."""
        return hmac.compare_digest(token.encode(), self.form_token(session).encode())

    def _signed(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), "sha256").hexdigest()


def _equal(token: str, right: str | None) -> bool:
    return right is not None and hmac.compare_digest(token.encode(), right.encode())


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

    def left_s(self, caller: str, now: float) -> float:
        """Return what `wait_s` would, and count nothing."""
        left, at = self._left.get(caller, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_s)
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
