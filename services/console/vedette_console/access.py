"""Who may look and who may act: decisions on tokens and sessions. Pure.

A session is a text that the console signs by a secret of its process: no other process can make one, and it ends with
the process.
"""

import hmac
import secrets
from typing import Final, Literal

from msgspec import Struct

Role = Literal["viewer", "operator"]
SESSION_S: Final = 12 * 3600


class Caller(Struct, frozen=True):
    """The caller of a request: what it may do, and its session, if it has one."""

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
        """Whether there is an operator's token."""
        return self._operator_token is not None

    def role_of(self, token: str) -> Role | None:
        """Return what *token* allows. Both tokens are compared whatever it is, and in constant time."""
        operator = _equal(token, self._operator_token)
        viewer = _equal(token, self._token)
        return "operator" if operator else "viewer" if viewer else None

    def session(self, role: Role, now: float, nonce: str) -> str:
        """Return a session of *role* that holds for SESSION_S from *now* (seconds since 1970)."""
        content = f"{role}.{int(now) + SESSION_S}.{nonce}"
        return f"{content}.{self._signed(content)}"

    def role_in(self, session: str, now: float) -> Role | None:
        """Return the role that *session* gives at *now*, or None where it is none of ours or is over."""
        content, _, signature = session.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signed(content).encode()):
            return None
        role, until, _ = content.split(".", 2)
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
