"""Compares a text with the prompts of each use case, in the space of an embedding model. Pure."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vedette_gateway.automatic import Guess

# Weight of a difference of cosines relative to the rules, chosen by leave-one-out on `examples.toml`.
_STEEP: Final = 5.0


class Centroids(Struct, frozen=True):
    """The mean direction of each use case's prompts. Rows of `directions` are in the order of `use_cases`."""

    use_cases: tuple[str, ...]
    directions: NDArray[np.float64]

    @classmethod
    def of(cls, labelled: Sequence[tuple[str, Sequence[float]]]) -> "Centroids":
        """Return the centroids of *labelled* vectors (use case, vector).

        Raises ValueError if their lengths differ, or if they are not finite, zero or missing.
        """
        names = tuple(dict.fromkeys(use_case for use_case, _ in labelled))
        vectors = _directions(np.asarray([vector for _, vector in labelled], dtype=np.float64))
        labels = np.asarray([names.index(use_case) for use_case, _ in labelled])
        return cls(
            names, _directions(np.stack([vectors[labels == at].mean(axis=0) for at in range(len(names))]))
        )

    def cosines(self, vector: Sequence[float]) -> dict[str, float]:
        """Return the cosine of *vector* and each centroid, by use case.

        Raises ValueError if *vector* has another length, or is zero or not finite.
        """
        direction = _directions(np.asarray([vector], dtype=np.float64))[0]
        if len(direction) != self.directions.shape[1]:
            raise ValueError("a vector has another length than before")
        return dict(zip(self.use_cases, (self.directions @ direction).tolist(), strict=True))


def _directions(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        raise ValueError("the vectors are no numbers, or there are none")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not lengths.all():
        raise ValueError("a vector is zero")
    directions: NDArray[np.float64] = vectors / lengths
    return directions


def combined(found: Guess, cosines: Mapping[str, float], known: Collection[str]) -> Guess:
    """Return the rules' guess *found*, with its shares weighted by *cosines*; unchanged if no share is left."""
    highest = max(cosines.values(), default=0.0)
    weights = {
        use_case: found.shares.get(use_case, 0.0) * math.exp(_STEEP * (cosine - highest))
        for use_case, cosine in cosines.items()
        if use_case in known
    }
    total = sum(weights.values())
    if not total:
        return found
    best = max(weights, key=lambda use_case: weights[use_case])
    by = f"{found.by} and prompts like it" if best == found.use_case else "prompts like it"
    return Guess(best, weights[best] / total, by, {name: one / total for name, one in weights.items()})
