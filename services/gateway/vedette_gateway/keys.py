"""The caller of a request: its key, and its permissions. Pure."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from vedette.runtime.origins import Rate, is_address, is_loopback
from vedette.settings import CallerKey, Gateway
from vedette.text.figures import counted
from vedette_gateway.problems import Problem
from vedette_gateway.wanted import Target

ANYBODY: Final = "anybody"
_HOW: Final = "send one as: Authorization: Bearer KEY"


class Caller(Struct, frozen=True):
    """The caller of a request: the name of its key, and the key with its permissions (None: all are allowed)."""

    name: str
    key: CallerKey | None = None

    def may_call(self, target: Target, use_case: str | None) -> bool:
        """Return whether this caller may call *target*; *use_case* is the one that it means, if any."""
        if self.key is None or not self.key.use_cases:
            return True
        return target.kind in ("use case", "auto") and use_case in self.key.use_cases


class Callers:
    """The callers with a key in the configuration. Without any key, each request has the caller `anybody`."""

    def __init__(self, settings: Gateway) -> None:
        self._keys: list[tuple[str, bytes, CallerKey]] = []
        self._rates: dict[str, tuple[int, Rate]] = {}  # their limits per minute
        self._wrong = Rate(burst=10, per_s=1 / 6)
        self.reload(settings)

    def reload(self, settings: Gateway) -> None:
        """Use the keys of *settings*. Limits that did not change keep their counts."""
        self._keys = [(name, one.sha256.encode(), one) for name, one in settings.keys.items()]
        before, self._rates = self._rates, {}
        for name, one in settings.keys.items():
            if most := one.requests_per_minute:
                new = most, Rate(burst=most, per_s=most / 60)
                known = before.get(name, new)
                self._rates[name] = known if known[0] == most else new

    def of(self, headers: Mapping[str, str], address: str, now: float) -> Caller:
        """Return the caller that sent *headers* from *address* at *now* (monotonic seconds). Raises Problem.

        Every digest is compared, in constant time. A right key is accepted even after wrong keys from the same address,
        because many callers may share the address of a proxy.
        """
        if not self._keys:
            return Caller(ANYBODY)
        key = _key_in(headers)
        if not key:
            raise Problem(401, "invalid_api_key", f"this request has no API key; {_HOW}")
        digest = hashlib.sha256(key).hexdigest().encode()
        found = [(name, one) for name, sha256, one in self._keys if hmac.compare_digest(digest, sha256)]
        if not found:
            if wait_s := self._wrong.wait_s(address, now):
                problem = "too many wrong API keys from this address"
                raise Problem(429, "too_many_wrong_keys", problem, retry_after_s=wait_s)
            raise Problem(401, "invalid_api_key", f"the API key is not one of this gateway's; {_HOW}")
        name, one = found[0]
        if rate := self._rates.get(name):
            most, limit = rate
            if wait_s := limit.wait_s(name, now):
                problem = f"{name} has more than {counted(most, 'request')} a minute"
                raise Problem(429, "rate_limit_exceeded", problem, retry_after_s=wait_s)
        return Caller(name, one)

    def left(self, caller: str, now: float) -> tuple[int, int] | None:
        """Return the limit of *caller* (requests per minute), and how many are left at *now*; None without a limit."""
        if (found := self._rates.get(caller)) is None:
            return None
        most, rate = found
        return most, int(rate.left(caller, now))


def _key_in(headers: Mapping[str, str]) -> bytes:
    """Return the key in *headers*, in the bytes that were sent: headers are decoded as Latin-1."""
    kind, _, key = headers.get("authorization", "").partition(" ")
    found = key.strip() if kind.casefold() == "bearer" else headers.get("api-key", "")
    return found.encode("latin-1", "replace")


def open_to_strangers(settings: Gateway) -> str | None:
    """Return the problem of *settings* that allow calls from other machines without a key, or None."""
    if settings.keys or is_loopback(settings.host):
        return None
    where = "address" if is_address(settings.host) else "name"
    return (
        f"{settings.host} is an {where} that others reach, and there is no key; make one with "
        '`vedette gateway key NAME` and put it under [gateway.keys.NAME], or set host = "127.0.0.1"'
    )
