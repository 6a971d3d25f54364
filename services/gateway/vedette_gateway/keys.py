"""Who calls: the key of a request, and what that caller may do. Pure."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from vedette.runtime.origins import Rate, is_address, is_loopback
from vedette.settings import CallerKey, Gateway
from vedette_gateway.problems import Problem
from vedette_gateway.wanted import Target

ANYBODY: Final = "anybody"
_WRONG: Final = "the API key is not one of this gateway's; send it as: Authorization: Bearer KEY"


class Caller(Struct, frozen=True):
    """Who sends a request: the name of the key, and what that allows; without a key everything."""

    name: str
    key: CallerKey | None = None

    def may_call(self, target: Target, use_case: str | None) -> bool:
        """Return whether this caller may call *target*, which stands for *use_case*, if for one."""
        if self.key is None or not self.key.use_cases:
            return True
        return target.kind in ("use case", "auto") and use_case in self.key.use_cases


class Callers:
    """The callers that the configuration names. Without any, everybody on this machine."""

    def __init__(self, settings: Gateway) -> None:
        self._keys = [(name, one.sha256.encode(), one) for name, one in settings.keys.items()]
        self._rates = {
            name: Rate(burst=one.requests_per_minute, per_s=one.requests_per_minute / 60)
            for name, one in settings.keys.items()
            if one.requests_per_minute
        }
        self._wrong = Rate(burst=10, per_s=1 / 6)

    def of(self, headers: Mapping[str, str], address: str, now: float) -> Caller:
        """Return who sends *headers* from *address*. Raises Problem.

        Every digest is compared, in constant time.
        """
        if not self._keys:
            return Caller(ANYBODY)
        if wait_s := self._wrong.left_s(address, now):
            raise Problem(429, "too_many_wrong_keys", "too many wrong keys", retry_after_s=wait_s)
        digest = hashlib.sha256(_key_in(headers).encode()).hexdigest().encode()
        found = [(name, one) for name, sha256, one in self._keys if hmac.compare_digest(digest, sha256)]
        if not found:
            self._wrong.wait_s(address, now)
            raise Problem(401, "invalid_api_key", _WRONG)
        name, key = found[0]
        rate = self._rates.get(name)
        if rate and (wait_s := rate.wait_s(name, now)):
            problem = f"{name} has more than {key.requests_per_minute} requests a minute"
            raise Problem(429, "rate_limit_exceeded", problem, retry_after_s=wait_s)
        return Caller(name, key)


def _key_in(headers: Mapping[str, str]) -> str:
    kind, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if kind.casefold() == "bearer" else headers.get("api-key", "")


def open_to_strangers(settings: Gateway) -> str | None:
    """Return what is wrong with *settings* by which anybody elsewhere could call, or None."""
    if settings.keys or is_loopback(settings.host):
        return None
    where = "address" if is_address(settings.host) else "name"
    return (
        f"{settings.host} is an {where} that others reach, and there is no key; make one with "
        '`vedette gateway key NAME` and put it under [gateway.keys.NAME], or set host = "127.0.0.1"'
    )
