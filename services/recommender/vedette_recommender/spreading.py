"""Which of several equals a caller gets, so that not all agents use the same model at once. Pure.

Weighted rendezvous hashing [Thaler, Ravishankar 1998; weights: Schindelhauer, Schomaker 2005]. While the weights stay
the same, a caller always gets the same model. When they change, as few callers as possible get another one. Replicas
share no state for this.
"""

import math
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from vedette.types import ModelRef

MAX_EQUALS: Final = 8  # among which callers are spread
# By how many times more than that of another equal a model's load may slow it down, while it still takes callers. Where
# none is nearly idle, there is a crowd: who leaves a busy server then meets all others who leave it at the next one.
_MAX_SLOWER: Final = 1.5
_MAX_SLOWER_IN_CROWD: Final = 4.0
_NEARLY_IDLE: Final = 0.25  # of the slots, by the requests that last
_SAME_POINTS: Final = 0.5  # between servers with the same model: chance of their measurements
_PREFERENCE_POINTS: Final = 1.5  # behind at rest, for 1/e of the weight
_BUSY: Final = 0.5  # of the slots: below it, a request more or less is over before the next load is read
_BUSY_COUNTS: Final = 4.0
_SCALE: Final = 2.0**-64


class Equal(NamedTuple):
    """A model among equals: its name, and the share of callers that get it."""

    name: str
    weight: float


class Pressed(NamedTuple):
    """How many times slower than at rest a model is by its server's load, and how many requests a slot has.

    `busy` counts the requests of now, `lasting` the ones that last.
    """

    slower: float = 1.0
    busy: float = 0.0
    lasting: float = 0.0


def taking(equals: Sequence[Pressed]) -> list[int]:
    """Return the places of the *equals* that take callers now."""
    least = min(one.slower for one in equals)
    calm = [n for n, one in enumerate(equals) if one.busy < 1.0 and one.slower <= _MAX_SLOWER * least]
    if calm and any(one.lasting <= _NEARLY_IDLE and one.busy <= _BUSY for one in equals):
        return calm
    return [n for n, one in enumerate(equals) if one.slower <= _MAX_SLOWER_IN_CROWD * least]


def calm(behind: Sequence[float], models: Sequence[ModelRef]) -> list[int]:
    """Return the places of equals in the same order for every caller: by points *behind* the best.

    Of several servers with the same model and nearly the same score, the first by name comes first: the scores change
    with every measurement, and by score alone the servers would take turns.
    """
    best = dict[str, float]()
    for points, model in zip(behind, models, strict=True):
        best[model.name] = min(points, best.get(model.name, math.inf))

    def rank(place: int) -> tuple[float, str]:
        points, least = behind[place], best[models[place].name]
        return least if points - least <= _SAME_POINTS else points, str(models[place])

    return sorted(range(len(models)), key=rank)


def weights(behind: Sequence[float], busy: Sequence[float]) -> list[float]:
    """Return the weight of each equal: by the points it is *behind* at rest, and by how *busy* its slots are."""
    raw = [
        math.exp(-points / _PREFERENCE_POINTS) / (1.0 + _BUSY_COUNTS * max(0.0, slots - _BUSY))
        for points, slots in zip(behind, busy, strict=True)
    ]
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
    """Return the identity of a caller as 32 bytes; None where nothing identifies it."""
    given = (account, caller, session)
    if not any(given):
        return None
    return blake2b("\0".join(one or "" for one in given).encode(), digest_size=32).digest()
