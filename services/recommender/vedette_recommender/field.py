"""What every model is worth for one use case at one minute, kept current row by row. Pure."""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vedette.events import Risk, Signal
from vedette_recommender import scoring
from vedette_recommender.candidate import Facts
from vedette_recommender.columns import CAPABILITIES, STATUSES, Columns, Floats, Mask, Rows
from vedette_recommender.constants import ERROR_BAND_POINTS, STATUS_MULTIPLIERS, WANTED_CONTEXT_TOKENS
from vedette_recommender.scoring import CONTEXT, Evidence, Peers
from vedette_recommender.usecases import SIGNALS, UseCase

ALL: Final = slice(None)
# With fewer candidates than this share of all models, only theirs are looked at instead of everything.
_FEW: Final = 0.25
_BLOCK: Final = 64  # rows are a power of two, and more than this


class Terms(Struct, frozen=True, kw_only=True):
    """By what a request has the models weighed: the share of each signal, the risk, the context it wants."""

    shares: tuple[float, ...]  # in the order of SIGNALS; they add up to one
    risk: Risk = "conservative"
    wanted_context: int = WANTED_CONTEXT_TOKENS


def shares(weights: Mapping[Signal, float]) -> tuple[float, ...]:
    """Return *weights*, of which at least one is positive, as shares of their sum."""
    total = math.fsum(weights.values())
    return tuple(weights.get(signal, 0.0) / total for signal in SIGNALS)


class Scores(NamedTuple):
    """The scores of some rows, from 0 to 100; `score` is `raw` after the multipliers."""

    score: Floats
    raw: Floats
    sure: Floats


class Narrowed(Struct, frozen=True, kw_only=True):
    """What a request's rules leave: the candidates, and how many each rule took first, so that the numbers add up."""

    candidates: Mask
    left: int
    rejected: dict[str, int]


class Standing(Struct, frozen=True, kw_only=True):
    """One model's place in a ranking: its row, and its score from 0 to 100."""

    row: int
    score: float
    raw: float
    sure: float
    multipliers: dict[str, float]
    equivalent: bool = False


class Field:
    """The standing of all models for a use case. `refresh` before reading."""

    def __init__(self, use_case: UseCase, columns: Columns, stale_after_s: float) -> None:
        room = columns.room
        self.use_case = use_case
        self.at = -math.inf  # the minute it is of, in seconds since 1970
        self.default = Terms(shares=shares(use_case.weights))
        self.utility: Floats = np.zeros((len(SIGNALS), room))  # shrunk
        self.confidence: Floats = np.zeros((len(SIGNALS), room))
        self.peers: Floats = np.full(len(SIGNALS), np.nan)
        self.status = np.zeros(room, np.int8)
        self.narrowed: Narrowed | None = (
            None  # kept by `filtering`: who passes where nothing special is asked
        )
        self._columns = columns
        self._stale_after_s = stale_after_s
        self._quality: Floats = np.full((3, room), np.nan)  # value, trials, when
        self._counted = Peers(room)
        self._required = [CAPABILITIES.index(capability) for capability in use_case.requires]
        # By the use case's own weights: what all signals but the context come to, and the confidence.
        self._expected_context = 0.0
        self._partial: Floats = np.zeros(room)
        self._sure: Floats = np.zeros(room)
        self._touched: set[int] = set(columns.rows.values())

    def touch(self, row: int) -> None:
        """Have *row* worked out again: its model is another, or was measured."""
        self._touched.add(row)

    def refresh(self, at: float) -> bool:
        """Work out what has changed until *at*; return whether anything has."""
        for row in self._touched:
            self._quality[:, row] = self._quality_of(self._columns.facts[row])
        if at != self.at:
            self.at = at
            self._work_out(ALL)
        elif self._touched:
            self._work_out(np.fromiter(self._touched, np.intp))
        else:
            return False
        self.narrowed = None
        self._touched.clear()
        return True

    def _quality_of(self, facts: Facts | None) -> tuple[float, float, float]:
        """Return what a user vouches for, else the rate of right answers over the kinds that tell of it."""
        if facts is None or not (facts.ratings or facts.quality):
            return math.nan, math.nan, math.nan
        rating = facts.rating(self.use_case.name)
        if rating is not None:
            return rating.score, math.inf, math.nan
        measured = facts.quality
        told = [
            (weight, score)
            for kind, weight in self.use_case.kinds.items()
            if measured and (score := measured.scores.get(kind)) is not None and score.trials
        ]
        total = math.fsum(weight for weight, _ in told)
        if measured is None or not total:
            return math.nan, math.nan, math.nan
        right = math.fsum(weight * score.successes / score.trials for weight, score in told) / total
        return right, float(sum(score.trials for _, score in told)), measured.measured_at.timestamp()

    def _work_out(self, rows: Rows) -> None:
        known = self.evidence(rows)
        utility = np.stack([signal.utility for signal in known])
        sure = np.stack([signal.confidence for signal in known])
        self._counted.put(rows, utility, sure, self.capable(rows))
        peers = self._counted.priors()
        if not np.array_equal(peers, self.peers, equal_nan=True):
            self.peers = peers
            if rows is not ALL:  # what the peers say counts for everybody
                return self._work_out(ALL)
        prior = scoring.priors(peers, self._columns.quality_prior[rows])
        self._expected_context = float(scoring.expected(peers)[CONTEXT])
        self.utility[:, rows] = scoring.shrink(utility, sure, prior)
        self.confidence[:, rows] = sure
        self.status[rows] = self._columns.statuses(self.at, self._stale_after_s, rows)
        self._partial[rows], self._sure[rows] = self._weigh(self.default.shares, rows)
        return None

    def evidence(self, rows: Rows, wanted_context: int = WANTED_CONTEXT_TOKENS) -> tuple[Evidence, ...]:
        """Return what is known of every signal, in the order of SIGNALS."""
        columns, embeds = self._columns, self.use_case.embeds
        return (
            scoring.quality(self._quality[:, rows], self.at),
            scoring.speed(columns, self.at, rows, embeds=embeds),
            scoring.ttft(columns, self.at, rows, embeds=embeds),
            scoring.reliability(columns, self.at, rows),
            scoring.price(columns, rows),
            scoring.context(columns, rows, wanted_context),
        )

    def trials(self, row: int) -> float:
        """Return how many checked answers are behind the quality of *row*: no end of them where a user vouches."""
        return float(self._quality[1, row])

    def capable(self, rows: Rows = ALL) -> Mask:
        """Return which models are present and known to be able to do what the use case takes."""
        able: Mask = self._columns.present[rows].copy()
        for capability in self._required:
            able &= self._columns.claims[capability, rows] > 0
        return able

    # Scores --------------------------------------------------------------------------------------------------

    def scores(self, rows: NDArray[np.intp], terms: Terms) -> Scores:
        """Return the scores of *rows* by *terms*."""
        return self._scores(rows, terms)

    def best(self, among: Mask, terms: Terms, most: int) -> list[Standing]:
        """Return the best of the models *among* which to choose, in order, *most* of them at most.

        Ties are ordered by confidence, then fewer parameters, then name.
        """
        count = int(np.count_nonzero(among))
        if not count:
            return []
        if count < _FEW * len(among):
            rows = np.flatnonzero(among)
            scores = self._scores(rows, terms)
            places = _at_least(scores.score, _bar(scores.score, most))
            rows = rows[places]
        else:
            scores = self._scores(ALL, terms)
            score = np.where(among, scores.score, -np.inf)
            # At least so many models score no less than the last of the best blocks does.
            rows = places = _at_least(score, _bar(score.reshape(-1, _BLOCK).max(axis=1), most))
        columns = (rows, scores.score[places], scores.raw[places], scores.sure[places])
        chosen = sorted(zip(*(column.tolist() for column in columns), strict=True), key=self._order)[:most]
        best = chosen[0][1]
        return [
            Standing(
                row=row,
                score=score,
                raw=raw,
                sure=sure,
                multipliers=self._multipliers(row, sure, terms.risk),
                equivalent=place > 0 and best - score <= ERROR_BAND_POINTS,
            )
            for place, (row, score, raw, sure) in enumerate(chosen)
        ]

    def _order(self, found: tuple[int, float, float, float]) -> tuple[float, float, float, str]:
        row, score, _, sure = found
        parameters = self._columns.parameters[row].item()
        facts = self._columns.facts[row]
        return (
            -score,
            -sure,
            math.inf if math.isnan(parameters) else parameters,
            str(facts.model) if facts else "",
        )

    def _multipliers(self, row: int, sure: float, risk: Risk) -> dict[str, float]:
        status = STATUSES[self.status[row]]
        multipliers = {"risk": float(scoring.risk_multiplier(risk, sure))}
        if (taken := STATUS_MULTIPLIERS.get(status, min(STATUS_MULTIPLIERS.values()))) != 1.0:
            multipliers[status.value] = taken
        return multipliers

    def _scores(self, rows: Rows, terms: Terms) -> Scores:
        if terms.shares == self.default.shares:
            partial, sure = self._partial[rows], self._sure[rows]
        else:
            partial, sure = self._weigh(terms.shares, rows)
        raw = partial + scoring.points(terms.shares[CONTEXT], self.context(rows, terms.wanted_context))
        return Scores(raw * scoring.multiplier(terms.risk, sure, self.status[rows]), raw, sure)

    def _weigh(self, shares: tuple[float, ...], rows: Rows) -> tuple[Floats, Floats]:
        """Return the points of all signals but the context, added up, and the confidence in all of them."""
        # One signal after the other: in the order in which contributions are added, and within the cache.
        partial, sure = scoring.points(shares[0], self.utility[0, rows]), shares[0] * self.confidence[0, rows]
        for place in range(1, CONTEXT):
            partial += scoring.points(shares[place], self.utility[place, rows])
        for place in range(1, len(SIGNALS)):
            sure += shares[place] * self.confidence[place, rows]
        return partial, np.minimum(1.0, sure)

    def context(self, rows: Rows, wanted: int) -> Floats:
        """Return the shrunk utility of the context where *wanted* tokens are all that is needed."""
        if wanted == WANTED_CONTEXT_TOKENS:
            return self.utility[CONTEXT, rows]
        _, utility, confidence, _ = scoring.context(self._columns, rows, wanted)
        shrunk: Floats = scoring.shrink(utility, confidence, self._expected_context)
        return shrunk


def _bar(scores: Floats, most: int) -> float:
    """Return the *most*-th highest score, or less than any where there are not so many."""
    if len(scores) <= most:
        return -math.inf
    return float(np.partition(scores, len(scores) - most)[len(scores) - most])


def _at_least(scores: Floats, bar: float) -> NDArray[np.intp]:
    return np.flatnonzero(scores >= bar) if bar > -math.inf else np.flatnonzero(scores > bar)
