"""The scores of all models for one use case at one minute, kept current row by row. Pure."""

import math
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from vedette.messages.queries import Risk
from vedette.types import Capability, Signal
from vedette.usecases import SIGNALS, Bounds, UseCase
from vedette.usecases.utility import falling, rising
from vedette_recommender import bounds, scoring
from vedette_recommender.columns import STATUSES, Columns, Floats, Mask, Pace, Rows
from vedette_recommender.constants import ERROR_BAND_POINTS, STATUS_MULTIPLIERS
from vedette_recommender.qualities import Qualities
from vedette_recommender.scoring import (
    CONTEXT,
    PRICE,
    QUALITY,
    RELIABILITY,
    REPORTED,
    SPEED,
    TTFT,
    Evidence,
)
from vedette_recommender.standing import ALL, Standing

# Score, raw score, confidence, row, and all multipliers but that of the risk together.
_Found = tuple[float, float, float, int, float]
K = TypeVar("K")
V = TypeVar("V")
# With fewer candidates than this share of many models, only theirs are looked at instead of everything.
_FEW: Final = 0.5
_CACHED: Final = 8192  # models, whose weighed signals fit into the second-level cache
_BLOCK: Final = 16
_MANY: Final = 8192  # scores, from which on it pays to look at the best of each block first
_ROOM: Final = 4  # blocks for each score that is wanted
_MAX_KEPT: Final = 8
_MAY_SERVE: Final = np.array([status in STATUS_MULTIPLIERS for status in STATUSES])


class Terms(Struct, frozen=True, kw_only=True):
    """How a request weighs models: the share of each signal, the wanted context, the bounds, the risk."""

    shares: tuple[float, ...]  # in the order of SIGNALS; they add up to one
    wanted_context: int
    bounds: Bounds = Bounds()
    risk: Risk = "neutral"


def shares(weights: Mapping[Signal, float]) -> tuple[float, ...]:
    """Return *weights*, of which at least one is positive, as shares of their sum."""
    total = math.fsum(weights.values())
    return tuple(weights.get(signal, 0.0) / total for signal in SIGNALS)


class Scores(NamedTuple):
    """The scores of some rows, from 0 to 100; `score` is `raw` after the multipliers."""

    score: Floats
    raw: Floats


class FilterResult(Struct, frozen=True):
    """The candidates of a request, and how many models each rule rejected. A model counts for the first rule only.

    *unknown*: required capabilities that are unknown for some candidate.
    """

    candidates: Mask
    left: int
    rejected: dict[str, int]
    unknown: tuple[Capability, ...] = ()


class Place(Struct, frozen=True):
    """One model's place in a ranking: its row, and its score from 0 to 100."""

    row: int
    score: float
    raw: float
    sure: float
    multipliers: dict[str, float]
    equivalent: bool = False


class UseCaseScores:
    """The scores of all models for a use case. Call `refresh` before reading.

    Values that do not depend on the use case are in *standing*, which all use cases share.
    """

    def __init__(self, use_case: UseCase, columns: Columns, standing: Standing) -> None:
        room = columns.room
        self.use_case = use_case
        self.at = -math.inf  # the minute it is of, in seconds since 1970
        self.default = Terms(
            shares=shares(use_case.weights), wanted_context=use_case.wanted_context, bounds=use_case.bounds
        )
        self.quality = Qualities(use_case, columns)
        self._columns = columns
        self._standing = standing
        # All arrays have a column for each model. A row for each signal: from our own measurements, and what callers'
        # reports would add to the utility.
        self.utility: Floats = np.zeros((len(SIGNALS), room))
        self.confidence: Floats = np.zeros((len(SIGNALS), room))
        self._moved: Floats = np.zeros((len(SIGNALS[REPORTED]), room))
        self._reported: Mask = np.zeros(room, np.bool_)  # whether there are reports
        self.best_quality = 0.0  # that is to be expected of any candidate
        # What a typical answer takes now; what each of the use case's own bounds makes of the score, and what they, the
        # status and failing calls make of it together.
        self.answer_s: Floats = np.full(room, np.nan)
        self._by_bounds: Floats = np.ones((len(bounds.BOUNDS), room))
        self._by_all: Floats = np.ones(room)
        # By the use case's own weights: what all signals but the context come to, and the confidence.
        self._partial: Floats = np.zeros(room)
        self._sure: Floats = np.zeros(room)
        # What was asked for last: scores by the use case's own weights, and contexts by what is wanted.
        self._kept: dict[tuple[Risk, int, Bounds], Scores] = {}
        self._contexts: dict[int, Floats] = {}
        # Kept by `filtering`: who passes where nothing special is asked, and the values that a limit is about.
        self.narrowed: FilterResult | None = None
        self.ordered: dict[str, list[float]] = {}
        # Rows to work out again: whole, or their pace alone.
        self._touched: set[int] = set(columns.rows.values())
        self._pressed: set[int] = set()

    @property
    def status(self) -> NDArray[np.int8]:
        """The status of each model that may be believed at this minute."""
        return self._standing.status

    @property
    def pace(self) -> Pace:
        """How fast the models are now."""
        return self._standing.pace

    @property
    def expected_ttft_ms(self) -> Floats:
        """The time to the first token to expect now, with loading where that is to come."""
        return self._standing.expected_ttft_ms

    def touch(self, rows: Collection[int]) -> None:
        """Work *rows* out again: other models have them, or something was measured."""
        self._touched.update(rows)

    def press(self, rows: Collection[int]) -> None:
        """Compute the pace of *rows* again after a new load of their servers, which changes nothing else."""
        self._pressed.update(rows)

    def refresh(self, at: float) -> None:
        """Compute changed rows until *at*."""
        self._standing.refresh(at)
        if self._touched:
            self._touched |= self.quality.refresh(np.fromiter(self._touched, np.intp))
        rows: Rows
        if at != self.at or self._touched:
            if self._touched:
                self._describe(np.fromiter(self._touched, np.intp))
            rows = ALL if at != self.at else np.fromiter(self._touched | self._pressed, np.intp)
            self.at = at
            self._work_out(rows)
            rows = self._find_best(rows)
            self.narrowed = None
            self._contexts.clear()
        elif self._pressed:
            rows = np.fromiter(self._pressed, np.intp)
            self._work_out_pace(rows)
        else:
            return
        self._bound(rows)
        self.ordered.clear()
        self._kept.clear()
        self._touched.clear()
        self._pressed.clear()

    def _describe(self, rows: Rows) -> None:
        """Compute the parts of *rows* that change only with new facts of a model."""
        self.utility[QUALITY, rows], self.confidence[QUALITY, rows] = self.quality.counted[:, rows]
        declared = (
            (PRICE, scoring.price(self._columns, rows)),
            (CONTEXT, scoring.context(self._columns, rows, self.use_case.wanted_context)),
        )
        for signal, known in declared:
            self.utility[signal, rows], self.confidence[signal, rows] = known.utility, known.confidence

    def _work_out(self, rows: Rows) -> None:
        """Compute the parts of *rows* that change with time and pace."""
        timed = self._timed(rows)
        for signal, known in zip((SPEED, TTFT), timed, strict=True):
            self.utility[signal, rows], self.confidence[signal, rows] = known.utility, known.confidence
        reliability = self._standing.reliability[:, rows]
        self.utility[RELIABILITY, rows], self.confidence[RELIABILITY, rows] = reliability
        self.answer_s[rows] = bounds.answer_s(
            self.pace.of(rows), self.use_case, self._columns.thought_tokens[rows]
        )
        self._take_reports(rows)
        self._partial[rows] = self._added_up(self.default.shares, rows)
        self._sure[rows] = self._weigh(self.default.shares, rows)

    def _work_out_pace(self, rows: Rows) -> None:
        """Work out what changes with the pace of *rows* alone: how sure it is stays the same, say."""
        pace, use_case = self.pace.of(rows), self.use_case
        thoughts = self._columns.thought_tokens[rows]
        if not use_case.embeds:
            half_speed = scoring.half_speed(use_case, thoughts)
            for signal, utility, own, usual, half in (
                (SPEED, rising, pace.output_tps, pace.usual_output_tps, half_speed),
                (TTFT, falling, pace.ttft_ms, pace.usual_ttft_ms, use_case.half_ttft_ms),
            ):
                sure = self.confidence[signal, rows]
                self.utility[signal, rows] = scoring.counted(sure, utility(own, half), utility(usual, half))
        self.answer_s[rows] = bounds.answer_s(pace, use_case, thoughts)
        self._take_reports(rows)
        self._partial[rows] = self._added_up(self.default.shares, rows)

    def _find_best(self, rows: Rows) -> Rows:
        """Find the best quality of all candidates; return the rows whose bounds it affects: *rows*, or all."""
        columns = self._columns
        among = columns.capable(self.use_case.requires) & _MAY_SERVE[self.status]
        among &= ~columns.never_answered & ~columns.closed & ~(columns.ends_at < self.at)
        best = float(self.utility[QUALITY, among].max(initial=0.0))
        if best == self.best_quality:
            return rows
        self.best_quality = best
        return ALL

    def _bound(self, rows: Rows) -> None:
        """Work out what the bounds, and all multipliers together, make of the scores of *rows*."""
        self._by_bounds[:, rows] = self.bounds(rows, self.default)
        self._by_all[rows] = self._together(rows, self._by_bounds[:, rows])

    def bounds(self, rows: Rows, terms: Terms) -> Floats:
        """Return what each bound makes of the scores of *rows*, in the order of `bounds.BOUNDS`."""
        quality, best = self.utility[QUALITY, rows], self.best_quality
        takes_s, costs_usd = self.answer_s[rows], bounds.answer_usd(self._columns, rows, self.use_case)
        context = self._columns.context_tokens[rows]
        return bounds.multipliers(terms.bounds, takes_s, costs_usd, quality, best, context)

    def _together(self, rows: Rows, bounded: Floats) -> Floats:
        """Return what status, failures and what is *bounded* make of the scores of *rows* together."""
        factors: Floats = np.multiply.reduce(bounded, axis=0)
        return factors * self._standing.by_status[rows] * self._standing.by_failing[rows]

    def _bounded(self, rows: Rows, terms: Terms) -> Floats:
        usual = terms.bounds == self.default.bounds
        return self._by_bounds[:, rows] if usual else self.bounds(rows, terms)

    def _take_reports(self, rows: Rows) -> None:
        """Work out what callers' reports would move; of most models there are none."""
        self._reported[rows] = self._columns.has_reports(rows)
        self._moved[:, rows] = 0.0
        reported = _places(self._reported, rows)
        if not len(reported):
            return
        known = self.evidence(reported, reports=True)[REPORTED]
        utility = np.stack([signal.utility for signal in known])
        self._moved[:, reported] = utility - self.utility[REPORTED, reported]

    def evidence(
        self, rows: Rows, wanted_context: int | None = None, *, reports: bool = False
    ) -> tuple[Evidence, ...]:
        """Return what is known of every signal, in the order of SIGNALS; with callers' *reports* if asked for."""
        columns, use_case = self._columns, self.use_case
        wanted = use_case.wanted_context if wanted_context is None else wanted_context
        return (
            self.quality.evidence(rows),
            *self._timed(rows, reports=reports),
            scoring.reliability(columns, self.at, rows, reports=reports),
            scoring.price(columns, rows),
            scoring.context(columns, rows, wanted),
        )

    def _timed(self, rows: Rows, *, reports: bool = False) -> tuple[Evidence, Evidence]:
        """Return what is known of speed and time to the first token."""
        asked = (self._columns, self.pace.of(rows), self.at, rows, self.use_case)
        return scoring.speed(*asked, reports=reports), scoring.ttft(*asked, reports=reports)

    def counted(self, rows: Rows, shares: tuple[float, ...]) -> Floats:
        """Return the utilities that count, but for the context: our own, moved by reports within the limit."""
        moved = self._moved[:, rows]
        counted = _of(self.utility[:CONTEXT], rows).copy()
        counted[REPORTED] += scoring.allowed(_points(moved, shares)) * moved
        return counted

    def held_back(self, row: int, shares: tuple[float, ...]) -> bool:
        """Return whether callers' reports would move the model in *row* by more than the limit."""
        return bool(scoring.allowed(_points(self._moved[:, [row]], shares))[0] < 1.0)

    # Scores --------------------------------------------------------------------------------------------------

    def best(self, among: FilterResult, terms: Terms, most: int) -> list[Place]:
        """Return the best of the models *among* which to choose, in order, *most* of them at most.

        Ties are ordered by confidence, then fewer parameters, then name.
        """
        if among.left < _FEW * len(among.candidates):
            (rows,) = among.candidates.nonzero()
            scores = self.scores(rows, terms)
            places = _highest(scores.score, most)
            rows = rows[places]
        else:
            scores = self.scores(ALL, terms)
            rows = places = _highest(np.where(among.candidates, scores.score, -np.inf), most)
        columns: list[NDArray[Any]] = [column[places] for column in scores]
        columns += [self.sure(rows, terms), rows, self._by_all[rows]]
        found = sorted(zip(*[column.tolist() for column in columns], strict=True), reverse=True)
        if len({score for score, *_ in found}) < len(found):
            found.sort(key=self._order)
        found = found[:most]
        usual, near = terms.bounds == self.default.bounds, found[0][0] - ERROR_BAND_POINTS if found else 0.0
        changed = [row for _, _, _, row, together in found if together != 1.0 or not usual]
        by_row = self._multipliers(changed, terms) if changed else {}
        return [
            Place(
                row,
                score,
                raw,
                sure,
                {"risk": scoring.risk_multiplier(terms.risk, sure), **by_row[row]}
                if row in by_row
                else {"risk": scoring.risk_multiplier(terms.risk, sure)},
                n > 0 and score >= near,
            )
            for n, (score, raw, sure, row, _) in enumerate(found)
        ]

    def _multipliers(self, rows: list[int], terms: Terms) -> dict[int, dict[str, float]]:
        """Return by row and name what changes the raw scores of *rows*, but for the risk."""
        here = np.array(rows, np.intp)
        standing = self._standing
        factors = [standing.by_status[here], standing.by_failing[here], *self._bounded(here, terms)]
        return {
            row: {
                name: value
                for name, value in zip((STATUSES[code].value, "failing", *bounds.BOUNDS), values, strict=True)
                if value != 1.0
            }
            for row, code, values in zip(
                rows, self.status[here].tolist(), np.array(factors).T.tolist(), strict=True
            )
        }

    def _order(self, found: _Found) -> tuple[float, float, float, str]:
        score, _, sure, row, _ = found
        parameters = self._columns.parameters[row].item()
        facts = self._columns.facts[row]
        return (
            -score,
            -sure,
            math.inf if math.isnan(parameters) else parameters,
            str(facts.model) if facts else "",
        )

    def scores(self, rows: Rows, terms: Terms) -> Scores:
        """Return the scores of *rows* by *terms*."""
        usual = terms.shares == self.default.shares
        if usual and (rows is ALL or self._columns.room <= _MANY):
            kept = self._usual(terms)
            return kept if rows is ALL else Scores(*[column[rows] for column in kept])
        return self._scores(rows, terms, self._partial[rows] if usual else self._added_up(terms.shares, rows))

    def _usual(self, terms: Terms) -> Scores:
        """Return the scores of all models by the use case's own weights, worked out once."""
        asked = (terms.risk, terms.wanted_context, terms.bounds)
        kept = self._kept.get(asked)
        if kept is None:
            kept = self._scores(ALL, terms, self._partial)
            _keep(self._kept, asked, kept)
        return kept

    def _scores(self, rows: Rows, terms: Terms, partial: Floats) -> Scores:
        raw = partial + scoring.points(terms.shares[CONTEXT], self.context(rows, terms.wanted_context))
        usual = terms.bounds == self.default.bounds
        together = self._by_all[rows] if usual else self._together(rows, self.bounds(rows, terms))
        if terms.risk == "neutral":  # takes no account of how sure a score is
            return Scores(raw * together, raw)
        return Scores(raw * scoring.risk_multiplier(terms.risk, self.sure(rows, terms)) * together, raw)

    def sure(self, rows: Rows, terms: Terms) -> Floats:
        """Return the confidence in all signals of *rows* by *terms*."""
        return self._sure[rows] if terms.shares == self.default.shares else self._weigh(terms.shares, rows)

    def _weigh(self, shares: tuple[float, ...], rows: Rows) -> Floats:
        """Return the confidence in all signals, added up."""
        sure: Floats = np.minimum(1.0, _summed(np.array(shares)[:, None], _of(self.confidence, rows)))
        return sure

    def _added_up(self, shares: tuple[float, ...], rows: Rows) -> Floats:
        """Return the points of all signals but the context, added up.

        They are added in the order of the contributions, and in the same order for one model and for many (`einsum`
        does not guarantee this).
        """
        utility = _of(self.utility, rows)
        worth = scoring.points(np.array(shares)[:CONTEXT, None], 1.0)
        reported = _places(self._reported, rows)
        if len(reported) > _FEW * utility.shape[1]:
            partial = _summed(worth, self.counted(rows, shares))
        else:
            partial = _summed(worth, utility[:CONTEXT])
            if len(reported):
                places = reported if isinstance(rows, slice) else self._reported[rows]
                partial[places] = _summed(worth, self.counted(reported, shares))
        return partial

    def context(self, rows: Rows, wanted: int) -> Floats:
        """Return the utility of the context where *wanted* tokens are all that is needed."""
        if wanted == self.use_case.wanted_context:
            return self.utility[CONTEXT, rows]
        worth = self._contexts.get(wanted)
        if worth is None:
            worth = scoring.context(self._columns, ALL, wanted).utility
            _keep(self._contexts, wanted, worth)
        return worth[rows]


def _keep(kept: dict[K, V], key: K, value: V) -> None:
    if len(kept) >= _MAX_KEPT:
        del kept[next(iter(kept))]  # the oldest
    kept[key] = value


def _summed(weights: Floats, by_signal: Floats) -> Floats:
    """Return the weighted sum over the signals, in blocks of models whose products fit into the processor's cache."""
    room = by_signal.shape[1]
    if room <= _CACHED:
        whole: Floats = np.add.reduce(weights * by_signal, axis=0)
        return whole
    summed = np.empty(room)
    for first in range(0, room, _CACHED):
        some = slice(first, first + _CACHED)
        np.add.reduce(weights * by_signal[:, some], axis=0, out=summed[some])
    return summed


def _of(by_signal: Floats, rows: Rows) -> Floats:
    """Return the columns of *rows*: `take` is twice as fast as an index."""
    return by_signal if isinstance(rows, slice) else by_signal.take(rows, axis=1)


def _points(moved: Floats, shares: tuple[float, ...]) -> Floats:
    """Return by how many points callers' reports would move raw scores, whose utilities they would move so."""
    total: Floats = np.add.reduce(scoring.points(np.array(shares)[REPORTED, None], 1.0) * moved, axis=0)
    return total


def _places(mask: Mask, rows: Rows) -> NDArray[np.intp]:
    """Return the *rows* that are in *mask*."""
    return mask.nonzero()[0] if isinstance(rows, slice) else rows[mask[rows]]


def _highest(scores: Floats, most: int) -> NDArray[np.intp]:
    """Return the places of the *most* highest of *scores*, and of all that are as high; never one of -inf."""
    ranked = scores
    if len(scores) % _BLOCK == 0 and len(scores) >= max(_MANY, _BLOCK * most * _ROOM):
        # At least this many score no less than the last of as many blocks does.
        ranked = np.maximum.reduce(scores.reshape(_BLOCK, -1), axis=0)
    bar = -math.inf
    if len(ranked) > most:
        bar = np.partition(ranked, len(ranked) - most)[len(ranked) - most].item()
    (places,) = (scores >= bar if bar > -math.inf else scores > bar).nonzero()
    return places
