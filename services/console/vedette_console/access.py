"""Permissions to read and to act: decisions on tokens and sessions. Pure.

A session is a text that the console signs. The key is derived from the token of its role. So every replica has the same
keys, and a new token ends the sessions.
"""

import hashlib
import hmac
import re
import secrets
from functools import cached_property
from typing import Final, Literal

from msgspec import Struct

Role = Literal["viewer", "operator"]
SESSION_S: Final = 12 * 3600
_SESSION: Final = re.compile(
    r"(?P<content>(?P<role>viewer|operator)\.(?P<until>[0-9]{1,12})\.[0-9A-Za-z]*)\.(?P<signature>[0-9a-f]{64})"
)
_SCRYPT_N: Final = 2**14  # 50 ms of a processor for each guess of the token behind a session [RFC 7914]


class Caller(Struct, frozen=True):
    """The caller of a request: its permissions, and its session, if it has one."""

    role: Role | None
    session: str | None = None

    @property
    def may_look(self) -> bool:
        """Whether this caller may read pages and send queries."""
        return self.role is not None

    @property
    def may_act(self) -> bool:
        """Whether this caller may start jobs and change endpoints."""
        return self.role == "operator"


class Keys:
    """The tokens of the console, and the keys that sign sessions. If the console is *open*, all users may read."""

    def __init__(self, token: str | None, operator_token: str | None, *, open: bool) -> None:
        self.open = open
        self._token = token
        self._operator_token = operator_token

    @property
    def has_operator(self) -> bool:
        """Whether there is an operator's token."""
        return self._operator_token is not None

    def role_of(self, token: str) -> Role | None:
        """Return the role of *token*. It is always compared with both tokens, in constant time."""
        operator = _equal(token, self._operator_token)
        viewer = _equal(token, self._token)
        return "operator" if operator else "viewer" if viewer else None

    def session(self, role: Role, now: float, nonce: str) -> str:
        """Return a session of *role* that is valid for SESSION_S seconds from *now* (seconds since 1970)."""
        content = f"{role}.{int(now) + SESSION_S}.{nonce}"
        return f"{content}.{self._signed(content, role)}"

    def role_in(self, session: str, now: float) -> Role | None:
        """Return the role of *session* at *now* (seconds since 1970), or None if it is invalid or expired."""
        found = _SESSION.fullmatch(session)
        if found is None or (found["role"] == "operator" and not self.has_operator):
            return None
        role = _role(session)
        if not hmac.compare_digest(found["signature"], self._signed(found["content"], role)):
            return None
        return role if int(found["until"]) >= now else None

    def form_token(self, session: str) -> str:
        """Return the token in forms of *session*, so that no other site can send them."""
        return self._signed(f"form.{session}", _role(session))

    def is_form_token(self, token: str, session: str) -> bool:
        """Return whether *token* is the form token of *session*."""
        return hmac.compare_digest(token.encode(), self.form_token(session).encode())

    def _signed(self, text: str, role: Role) -> str:
        key = self._operator_key if role == "operator" else self._viewer_key
        return hmac.new(key, text.encode(), "sha256").hexdigest()

    @cached_property
    def _operator_key(self) -> bytes:
        return _key(self._operator_token, "operator")

    @cached_property
    def _viewer_key(self) -> bytes:
        return _key(self._token, "viewer")


def _role(session: str) -> Role:
    """Return the role that *session* claims; its signature is not checked."""
    return "operator" if session.startswith("operator.") else "viewer"


def _key(token: str | None, role: Role) -> bytes:
    """Return the key that signs sessions of *role*, derived from its *token*. Without a token, it is random."""
    if token is None:
        return secrets.token_bytes(32)
    salt = f"vedette console: {role}".encode()
    return hashlib.scrypt(token.encode(), salt=salt, n=_SCRYPT_N, r=8, p=1, dklen=32)


def _equal(token: str, right: str | None) -> bool:
    return right is not None and hmac.compare_digest(token.encode(), right.encode())
