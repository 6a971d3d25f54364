"""Deterministic ids that sort by time: the same work gives the same id twice."""

import hashlib
from datetime import datetime
from uuid import UUID


def derive(at: datetime, *parts: str) -> str:
    """Return the UUIDv8 (RFC 9562 §5.8) of *at*, to the millisecond, and a SHA-256 of *parts*.

    The first 48 bits are Unix milliseconds, so ids sort by time; the rest is the hash, so the same parts at
    the same time give the same id.
    """
    ms = int(at.timestamp() * 1000) & (1 << 48) - 1
    digest = int.from_bytes(hashlib.sha256("\x00".join(parts).encode()).digest()[:10], "big")
    value = ms << 80 | digest
    value = value & ~(0xF << 76) | 0x8 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(UUID(int=value))
