"""Values of all models at one minute that do not depend on the use case, kept current row by row. Pure.

Every use case needs these values, so they are computed once for all.
"""

import math
from collections.abc import Collection

import numpy as np

from vedette_recommender import scoring
from vedette_recommender.columns import Columns, Floats, Pace, Rows

ALL = slice(None)


class Standing:
    """Pace, status and reliability of all models. `refresh` before reading.

    Without *load*, the current requests of servers do not count.
    """

    def __init__(self, columns: Columns, stale_after_s: float, *, load: bool = True) -> None:
        room = columns.room
        self.at = -math.inf  # the minute it is of, in seconds since 1970
        self.pace = Pace.unknown(room)
        self.expected_ttft_ms: Floats = np.full(room, np.nan)
        self.status = np.zeros(room, np.int8)
        self.by_status: Floats = np.ones(room)  # the factor of the status
        self.by_failing: Floats = np.ones(room)  # and that its calls fail now
        self.reliability: Floats = np.zeros((2, room))  # utility, confidence
        self._columns = columns
        self._stale_after_s = stale_after_s
        self._load = load
        self._touched: set[int] = set(columns.rows.values())
        self._pressed: set[int] = set()

    def touch(self, rows: Collection[int]) -> None:
        """Work *rows* out again: other models have them, or something was measured."""
        self._touched.update(rows)

    def press(self, rows: Collection[int]) -> None:
        """Compute the pace of *rows* again after a new load of their servers, which changes nothing else."""
        self._pressed.update(rows)

    def refresh(self, at: float) -> None:
        """Compute changed rows until *at*."""
        rows: Rows
        if at != self.at or self._touched:
            rows = ALL if at != self.at else np.fromiter(self._touched | self._pressed, np.intp)
            self.at = at
            self._keep_pace(rows)
            self._keep_state(rows)
        elif self._pressed:
            self._keep_pace(np.fromiter(self._pressed, np.intp))
        else:
            return
        self._touched.clear()
        self._pressed.clear()

    def _keep_pace(self, rows: Rows) -> None:
        columns = self._columns
        pace = columns.pace(self.at, rows, load=self._load)
        for kept, now in zip(self.pace, pace, strict=True):
            kept[rows] = now
        self.expected_ttft_ms[rows] = columns.ttft_ms_with_loading(
            pace.ttft_ms, self.at, self._stale_after_s, rows
        )

    def _keep_state(self, rows: Rows) -> None:
        columns = self._columns
        self.status[rows] = columns.statuses(self.at, self._stale_after_s, rows)
        self.by_status[rows] = scoring.STATUS_MULTIPLIER[self.status[rows]]
        self.by_failing[rows] = 1.0 - columns.failing_now(self.at, rows)
        known = scoring.reliability(columns, self.at, rows)
        self.reliability[:, rows] = known.utility, known.confidence
