"""Which of several equals a caller gets: so that not all agents are sent to the same model at once. Pure.

Weighted rendezvous hashing [Thaler, Ravishankar 1998; weights: Schindelhauer, Schomaker 2005]. A caller always gets the
same model while the weights are the same, and when they change as few callers as possible move. Replicas need not agree
on anything but what they score by.
"""

import math
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

MAX_EQUALS: Final = 8  # among which callers are spread
# By so many points a model that is equal at rest may be behind for its load, and still take callers: a request more or
# less at a server is over before the next load is read.
LOAD_BAND_POINTS: Final = 3.0
_PREFERENCE_POINTS: Final = 1.5  # behind, for 1/e of the weight
_SCALE: Final = 2.0**-64


class Equal(NamedTuple):
    """A model among equals: its name, and by what share of all weights callers are sent to it."""

    name: str
    weight: float


def weights(behind: Sequence[float], free: Sequence[float | None]) -> list[float]:
    """Return the weight of each equal: by the points it is *behind*, and by its *free* slots where all are known."""
    room = [1.0 if one is None else one for one in free] if None not in free else [1.0] * len(free)
    if not any(room):
        room = [1.0] * len(room)  # all are full: which is the least so, the points say
    raw = [slots * math.exp(-points / _PREFERENCE_POINTS) for points, slots in zip(behind, room, strict=True)]
    total = math.fsum(raw)
    return [one / total for one in raw]


def order(equals: Sequence[Equal], identity: bytes) -> tuple[int, ...]:
    """Return the places of *equals* in the order in which *identity* gets them; those without weight come last."""

    def rank(place: int) -> tuple[float, int]:
        one = equals[place]
        if one.weight <= 0.0:
            return math.inf, place
        drawn = blake2b(one.name.encode(), key=identity[:64], digest_size=8).digest()
        return -math.log((int.from_bytes(drawn) + 0.5) * _SCALE) / one.weight, place

    return tuple(sorted(range(len(equals)), key=rank))


def identity(account: str | None, caller: str | None, session: str | None) -> bytes | None:
    """Return what tells a caller from others, as 32 bytes; None where there is nothing."""
    told = (account, caller, session)
    if not any(told):
        return None
    return blake2b("\0".join(one or "" for one in told).encode(), digest_size=32).digest()
