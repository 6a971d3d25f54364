"""The quality of all models for one use case, from answers, ratings and a judge, kept current row by row. Pure."""

import math

import numpy as np
from numpy.typing import NDArray

from vedette.types import Judgement
from vedette.usecases import LIKE, UseCase, estimating, judging
from vedette.usecases.estimating import Answered, Mix, Scale
from vedette.usecases.levels import DIFFICULTIES, STANDARD_PLACE
from vedette_recommender.candidate import Facts
from vedette_recommender.columns import Columns, Floats, Rows
from vedette_recommender.scoring import Evidence
from vedette_recommender.standing import ALL


class Qualities:
    """The qualities. Call `refresh` when models have changed."""

    def __init__(self, use_case: UseCase, columns: Columns) -> None:
        room = columns.room
        self._use_case = use_case
        self._columns = columns
        self._like = LIKE.index(use_case.like)
        # The quality to count with, and how much of it is from answers. Of the answers: the rate of right ones,
        # effective trials, trials, logit; and how much of them is at each level.
        self.counted: Floats = np.zeros((2, room))
        self._answered: Floats = np.zeros((4, room))
        self._mix: Floats = np.zeros((len(DIFFICULTIES), room))
        self._judged_on = np.full(room, -1)
        self.scale = Scale()  # how all answers differ from what was expected
        # By how much a judge moves the quality, and as how many answers it counts; and the rows that it judged.
        self.by_judge: Floats = np.zeros((2, room))
        self._judged: set[int] = set()

    def refresh(self, touched: NDArray[np.intp]) -> set[int]:
        """Estimate the quality of those *touched* that have new answers, judgements or ratings.

        Return whose quality that may change: of all present models if it changes the scale, and of all judged ones.
        """
        columns, changed = self._columns, set[int]()
        rows = touched[self._judged_on[touched] != columns.judged_on[touched]]
        if not len(rows):
            return changed
        self._judged_on[rows] = columns.judged_on[rows]
        answers_of = [self._answers_of(columns.facts[row]) for row in rows.tolist()]
        self._answered[:, rows] = np.array([one[:4] for one in answers_of]).T
        self._mix[:, rows] = np.array([one.mix for one in answers_of]).T
        self._note_judged(rows)
        effective = np.where(columns.capable(self._use_case.requires), self._answered[1], 0.0)
        expected, spread = self.expected(ALL)
        scale = estimating.scale(self._answered[3], effective, expected, spread, self._mix)
        if scale != self.scale:
            self.scale = scale
            (rows,) = columns.present.nonzero()  # the suites are the same for all models
            changed.update(rows.tolist())
        if self._judged:  # what a judge found of one model is relative to the others
            rows = np.union1d(rows, np.fromiter(self._judged, np.intp))
            changed.update(self._judged)
        rate, effective = self._answered[:2, rows]
        vouched = np.isinf(effective)
        answers, mix = np.where(vouched, 0.0, effective), self._mix[:, rows]
        hoped, apart = expected[rows], spread[rows]
        checked = estimating.estimate(rate, answers, hoped, apart, self.scale, mix)
        self.counted[:, rows] = checked
        if self._judged:
            found = [self.judgement(row) for row in rows.tolist()]
            worth = judging.judged(checked.quality, answers, self.scale, found, mix)
            both = judging.together(rate, answers, worth)
            self.counted[:, rows] = estimating.estimate(*both, hoped, apart, self.scale, mix)
            self.by_judge[:, rows] = self.counted[0, rows] - checked.quality, worth.effective
        self.counted[0, rows[vouched]] = rate[vouched]
        self.counted[1, rows[vouched]] = 1.0
        return changed

    def _note_judged(self, rows: NDArray[np.intp]) -> None:
        """Note which models in *rows* a judge found something of."""
        self.by_judge[:, rows] = 0.0
        for row in rows.tolist():
            (self._judged.discard if self.judgement(row) is None else self._judged.add)(row)

    def judgement(self, row: int) -> Judgement | None:
        """Return a judge's result for the model in *row* for this use case."""
        facts = self._columns.facts[row]
        return facts.judged.judgements.get(self._use_case.name) if facts and facts.judged else None

    def _answers_of(self, facts: Facts | None) -> Answered:
        """Return a user's rating, which counts as answers without limit, else the answers of evaluations."""
        if facts is None or not (facts.ratings or facts.quality):
            return estimating.NOTHING
        rating = facts.rating(self._use_case.name) if facts.ratings else None
        if rating is not None:
            return Answered(rating.score, math.inf, 0)
        return (
            estimating.answered(facts.quality.scores, self._use_case.kinds)
            if facts.quality
            else estimating.NOTHING
        )

    def expected(self, rows: Rows) -> tuple[Floats, Floats]:
        """Return the quality that is published of the models in *rows*, and its standard deviation."""
        columns = self._columns
        return columns.expected_quality[self._like, rows], columns.expected_quality_spread[self._like, rows]

    def interval(self, rows: Rows) -> tuple[Floats, Floats]:
        """Return the ends of the 95 % interval of the quality; NaN where a user rated it."""
        quality, answers = self.counted[0, rows], self._answered[1, rows] + self.by_judge[1, rows]
        vouched = np.isinf(answers)
        found = estimating.interval(
            quality,
            np.where(vouched, 0.0, answers),
            *self.expected(rows),
            self.scale,
            self._mix[:, rows],
        )
        low, high = (np.where(vouched, np.nan, end) for end in found)
        return low, high

    def evidence(self, rows: Rows) -> Evidence:
        """Return what is known of the quality of *rows*."""
        rate, effective, _, logit = self._answered[:, rows]
        quality, sure = self.counted[:, rows]
        expected = estimating.expectation(*self.expected(rows), self.scale)
        standard = self._mix[STANDARD_PLACE, rows] == 1.0
        at_standard = np.where(standard, rate, 1.0 / (1.0 + np.exp(-logit)))
        raw = np.where(effective > 0, at_standard, np.nan)
        return Evidence(raw, quality, sure, expected)

    def trials(self, row: int) -> float:
        """Return how many checked answers are behind the quality of *row*: infinity if a user rated it."""
        _, effective, trials, _ = self._answered[:, row].tolist()
        return math.inf if math.isinf(effective) else float(trials)

    def effective_trials(self, row: int) -> float:
        """Return the effective number of answers behind the quality."""
        return float(self._answered[1, row])

    def mix(self, row: int) -> Mix:
        """Return how much of the answers is at each level of difficulty."""
        return tuple(self._mix[:, row].tolist())
