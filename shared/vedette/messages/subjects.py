"""Subjects: converts names to tokens, and names the subject of each kind of message."""

import hashlib
from functools import lru_cache

from vedette.types import ModelRef

MAX_TOKEN_BYTES = 120
OWN_REQUESTS = "own.requests"
_KEPT_BYTES = 80
_LEGAL = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


@lru_cache(maxsize=16_384)  # every message needs one, mostly of the same names
def escape(name: str) -> str:
    """Return *name* as one subject token: each byte outside `[A-Za-z0-9_-]` as `=HH`.

    A token longer than 120 bytes is cut to 80 bytes, without splitting an escape, and ends with `=-` and 16 hex digits
    of the name's SHA-256. Such a token cannot be converted back; payloads carry the full name.
    """
    pieces = [chr(b) if b in _LEGAL else f"={b:02X}" for b in name.encode()]
    token = "".join(pieces)
    if len(token) <= MAX_TOKEN_BYTES:
        return token
    kept = ""
    for piece in pieces:
        if len(kept) + len(piece) > _KEPT_BYTES:
            break
        kept += piece
    return f"{kept}=-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def of_model(event: str, model: ModelRef) -> str:
    """Return the subject of a model's *event* (`found`, …, or `*` for all of them)."""
    return f"model.{event}.{model.endpoint}.{escape(model.name)}"


def of_report(model: ModelRef) -> str:
    """Return the subject of the outcome reports of *model*."""
    return f"report.{model.endpoint}.{escape(model.name)}"


def of_job(kind: str, group: str, endpoint: str, model: ModelRef | None = None) -> str:
    """Return the subject of a job of *kind* at an endpoint, or for one of its models."""
    subject = f"job.{kind}.{escape(group)}.{endpoint}"
    return f"{subject}.{escape(model.name)}" if model else subject
