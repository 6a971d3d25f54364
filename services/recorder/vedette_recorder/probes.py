"""Probes as columns, and the probes of one model and day as one value. Pure.

A month of history has tens of thousands of probes. Counting them as rows of a database costs microseconds for each
probe. A daily aggregate is one row, and its columns are counted at once.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import product
from typing import Any, Self, get_args

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vedette.types import UP, Outcome, ProbeCause

DAY = timedelta(days=1)
_EPOCH, _MICROSECOND = datetime.fromtimestamp(0, UTC), timedelta(microseconds=1)

Ended = tuple[Outcome, ProbeCause]
# How a probe can end, and for what cause: what `Probes.ended` is an index into.
ENDED: tuple[Ended, ...] = tuple(product(Outcome, get_args(ProbeCause)))
_PLACES = {(outcome.value, cause): place for place, (outcome, cause) in enumerate(ENDED)}
_IS_UP = np.array([outcome in UP for outcome, _ in ENDED])

# Little-endian, wherever they are packed.
_AT, _ENDED, _LATENCY = np.dtype("<i8"), np.dtype("u1"), np.dtype("<f8")


class Probes(Struct, frozen=True, eq=False):
    """Probes, in no order: when they were, how they ended, and how long they took; three columns of equal length.

    `at` is in microseconds since 1970, `ended` a place in ENDED, `latency_ms` NaN where none was measured.
    """

    at: NDArray[np.int64]
    ended: NDArray[np.uint8]
    latency_ms: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[Any]]) -> Self:
        """Return *rows*, each the time, the outcome, the cause and the latency in ms, or None, of a probe.

        Raises KeyError for an outcome that this version does not know.
        """
        at, outcome, cause, latency_ms = zip(*rows, strict=True) if rows else ((),) * 4
        ended = [_PLACES[of_probe] for of_probe in zip(outcome, cause, strict=True)]
        return cls(
            np.array([microseconds(one) for one in at], _AT),
            np.array(ended, _ENDED),
            np.array(latency_ms, _LATENCY),
        )

    @classmethod
    def together(cls, parts: Iterable[Self]) -> Self:
        """Return all *parts* as one."""
        parts = tuple(parts)
        if not parts:
            return cls.of(())
        return cls(
            np.concatenate([part.at for part in parts]),
            np.concatenate([part.ended for part in parts]),
            np.concatenate([part.latency_ms for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.at)

    def between(self, since: datetime, until: datetime) -> Self:
        """Return the probes from *since* until just before *until*."""
        within = (self.at >= microseconds(since)) & (self.at < microseconds(until))
        return type(self)(self.at[within], self.ended[within], self.latency_ms[within])

    @property
    def timed(self) -> NDArray[np.bool_]:
        """Where a latency says how fast the model is: that of a failure only says how long the probe waited."""
        return _IS_UP[self.ended] & ~np.isnan(self.latency_ms)


class _Day(Struct, frozen=True, array_like=True):
    """The stored form of probes: columns of bytes. `ended` contains indexes into `met`, the list of their outcomes.

    `met` is decoded separately, because it is the same for most days.
    """

    met: msgspec.Raw
    at: bytes
    ended: bytes
    latency_ms: bytes


_Met = tuple[tuple[str, ProbeCause], ...]
_encode = msgspec.msgpack.encode
_decode = msgspec.msgpack.Decoder(_Day).decode
_decode_met = msgspec.msgpack.Decoder(_Met).decode


def pack(probes: Probes) -> bytes:
    """Return *probes* as one value, which a version that knows more outcomes reads as well."""
    met, ended = np.unique(probes.ended, return_inverse=True)
    return _encode(
        _Day(
            msgspec.Raw(_encode(tuple((ENDED[place][0].value, ENDED[place][1]) for place in met))),
            probes.at.astype(_AT).tobytes(),
            ended.astype(_ENDED).tobytes(),
            probes.latency_ms.astype(_LATENCY).tobytes(),
        )
    )


def unpack(packed: Iterable[bytes]) -> Probes:
    """Return what was *packed*, together. Raises KeyError for an outcome that this version does not know."""
    days = [_decode(value) for value in packed]
    return Probes(
        np.frombuffer(b"".join(day.at for day in days), _AT),
        np.frombuffer(b"".join(day.ended.translate(_places(bytes(day.met))) for day in days), _ENDED),
        np.frombuffer(b"".join(day.latency_ms for day in days), _LATENCY),
    )


@lru_cache(maxsize=256)
def _places(met: bytes) -> bytes:
    """Return the table of 256 that turns an index into what was *met* into a place in ENDED."""
    return bytes(_PLACES[ended] for ended in _decode_met(met)).ljust(256, b"\0")


def microseconds(at: datetime) -> int:
    """Return the microseconds from 1970 to *at*, exactly."""
    return (at - _EPOCH) // _MICROSECOND


def day_of(at: datetime) -> datetime:
    """Return when the day of *at*, in UTC, began."""
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
