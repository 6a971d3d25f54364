"""All present models as columns of numbers, a row for each, so that a request is a few passes over arrays. Pure.

A row contains only values that depend neither on the time nor on the request. An unknown value is NaN, or the code 0.
The row of a lost model is empty until another model gets it.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vedette.knowledge import Table, bundled, known
from vedette.messages.events import EndpointLoad
from vedette.messages.validation import folded
from vedette.types import (
    NOT_DOWNTIME,
    UP,
    Capability,
    Figure,
    ModelRef,
    Performance,
    Residency,
    Status,
    Tally,
)
from vedette.usecases import LIKE
from vedette.usecases.thinking import thought_tokens
from vedette_recommender.candidate import MAX_AHEAD, Facts, bytes_per_token, median
from vedette_recommender.constants import RELIABILITY_WINDOW_H, USUAL_OUTPUT_TPS, USUAL_TTFT_MS
from vedette_recommender.loading import BUSY_TOKENS, Load, shared, sharing
from vedette_recommender.measured_calls import with_calls

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]
Mask = NDArray[np.bool_]
# The rows for which a formula is computed: all, or those at some places.
Rows = slice | NDArray[np.intp]

STATUSES: Final = tuple(Status)
CAPABILITIES: Final = tuple(Capability)
LOCALITIES: Final = ("unknown", "local", "remote")
_UNKNOWN: Final = STATUSES.index(Status.UNKNOWN)
_PLACES: Final[dict[str, int]] = {capability: place for place, capability in enumerate(CAPABILITIES)}
_FIRST_ROWS = 256
_UP: Final = frozenset(map(str, UP))  # the hash of a plain text is known already
_NOT_COUNTED: Final = frozenset(map(str, NOT_DOWNTIME))
_HOURS = 24
_DAYS = RELIABILITY_WINDOW_H // 24 + 1


class Pace(NamedTuple):
    """The speeds of models: measured (NaN: not measured), and expected from others of their endpoint by size."""

    ttft_ms: Floats  # of a model that is loaded
    output_tps: Floats
    usual_ttft_ms: Floats
    usual_output_tps: Floats

    @classmethod
    def unknown(cls, room: int) -> "Pace":
        """Return the pace of *room* models of which nothing is known."""
        return cls(*(np.full(room, np.nan) for _ in cls._fields))

    def of(self, rows: Rows) -> "Pace":
        """Return the pace of the models in *rows*."""
        return Pace(*(figures[rows] for figures in self))


class Names:
    """The values of a column of texts as numbers: 0 is unknown; case, `-` and `_` do not count."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}

    def take(self, text: str | None) -> int:
        """Return the code of *text*, a new one when it was not seen before."""
        return 0 if text is None else self._codes.setdefault(folded(text), len(self._codes) + 1)

    def find(self, text: str) -> int:
        """Return the code of *text*, or -1 when no model has it."""
        return self._codes.get(folded(text), -1)

    def all_but(self, texts: Iterable[str]) -> Mask:
        """Return, by code, which known values are none of *texts*."""
        others = np.ones(len(self._codes) + 1, np.bool_)
        others[0] = False
        others[[code for text in texts if (code := self.find(text)) > 0]] = False
        return others


class Tallies:
    """Probes by hour or day: `width` tallies a row. Only the tallies within a window count."""

    def __init__(self, rows: int, width: int) -> None:
        self._start = np.full((rows, width), -np.inf)
        self._up = np.zeros((rows, width), np.int32)
        self._counted = np.zeros((rows, width), np.int32)

    def put(self, row: int, tallies: tuple[Tally, ...]) -> None:
        """Set those of one row: the last ones, as many as there is room for."""
        last = tallies[-self._start.shape[1] :]
        self._start[row] = -np.inf
        if not last:
            return
        counted = [_up_and_counted(tuple(tally.counts.items())) for tally in last]
        self._start[row, : len(last)] = [tally.start.timestamp() for tally in last]
        self._up[row, : len(last)], self._counted[row, : len(last)] = zip(*counted, strict=True)

    def before(self, moment: float, window_s: float, rows: Rows) -> tuple[Floats, Floats]:
        """Return how many probes found the model up, and how many counted, in tallies begun in the window."""
        start = self._start[rows]
        within = (start > moment - window_s) & (start <= moment)
        up, counted = (np.where(within, counts[rows], 0).sum(axis=1) for counts in (self._up, self._counted))
        return up.astype(np.float64), counted.astype(np.float64)


class Columns:
    """The columns, and the row of each model. `room` is the number of rows, including empty ones."""

    # NaN where unknown; times are seconds since 1970
    parameters: Floats
    bytes_per_token: Floats  # of weights, read for each token
    context_tokens: Floats
    price_usd_per_mtok: Floats  # the dearer of input and output
    price_input: Floats
    price_output: Floats
    output_tps: Floats
    ttft_ms: Floats
    ttft_cold_ms: Floats
    output_tps_spread: Floats  # interquartile range over the median
    ttft_spread: Floats
    expected_output_tps: Floats  # of a model by its size and its endpoint, measured or not
    expected_ttft_ms_warm: Floats
    texts_per_s: Floats
    e2e_ms: Floats
    runs: Floats  # behind the figures; a sample taken during other work counts half
    measured_at: Floats
    checked_at: Floats
    ends_at: Floats  # when its service ends it, by the service's own date
    resident_until: Floats  # -inf where it is known not to be loaded, inf where no end is in sight
    reported_at: Floats
    reported_calls: Floats
    reported_succeeded: Floats
    reported_ttft_n: Floats
    reported_ttft_ms: Floats
    reported_output_tps_n: Floats
    reported_output_tps: Floats
    # The current state. Changes are natural logarithms of "times slower than at rest".
    ttft_change: Floats
    speed_change: Floats
    change_spread: Floats  # relative standard deviation
    change_until: Floats  # until when both count, the speed no longer than:
    speed_until: Floats
    failing: Floats  # share of calls that fail, beyond the usual
    failing_until: Floats
    ttft_crowding: Floats  # how many times slower the first token is with the requests that last
    output_crowding: Floats  # and the output
    ahead: Floats  # answers that must be complete before a further request begins
    load_until: Floats
    load_resident: Floats  # 1 where the load says that the model is loaded, 0 where it says that it is not
    shared_total: Floats  # how much requests slow each other down, by the model's own benchmarks
    shared_weight: Floats
    shared_estimate: Floats
    weights_bytes: Floats  # to be loaded
    thought_tokens: Floats  # to expect before an answer
    expected_load_ms: Floats  # of a model that is not loaded, by its size

    def __init__(
        self,
        room: int = _FIRST_ROWS,
        published: Table | None = None,
        closed: Mapping[str, str] | None = None,
    ) -> None:
        self.room = room
        self.why_closed = closed or {}  # by endpoint: those that are paused or asleep
        self.published = published or bundled()
        self.rows: dict[ModelRef, int] = {}
        self.named: dict[str, set[int]] = {}  # rows of the models of a name, at any endpoint
        self.facts: list[Facts | None] = [None] * room
        self._order: list[int] | None = None
        self._rank: NDArray[np.int64] | None = None
        self._free = list(range(room - 1, -1, -1))
        for name in Columns.__annotations__:
            setattr(self, name, np.full(room, np.nan))
        self.ttft_change[:], self.speed_change[:], self.change_spread[:], self.failing[:] = 0.0, 0.0, 0.0, 0.0
        self.thought_tokens[:] = 0.0
        self._changed: set[int] = set()  # rows with a change that was detected
        self.ttft_crowding[:], self.output_crowding[:], self.ahead[:] = 1.0, 1.0, 0.0
        self.shared_total[:], self.shared_weight[:] = 0.0, 0.0
        self.loads: dict[str, Load] = {}  # the last of each endpoint
        self.present: Mask = np.zeros(room, np.bool_)
        # How often there was something new to judge the quality by: another description, answers, ratings.
        self.judged_on = np.zeros(room, np.int64)
        self.status = np.zeros(room, np.int8)  # places in STATUSES, as last probed
        self.closed: Mask = np.zeros(room, np.bool_)  # the endpoint is
        self.never_answered: Mask = np.zeros(room, np.bool_)  # every call of Vedette's failed
        self.locality = np.zeros(room, np.int8)  # places in LOCALITIES
        self.provider, self.endpoint, self.family, self.license = (np.zeros(room, np.int32) for _ in range(4))
        self.providers, self.endpoints, self.families, self.licenses = (Names() for _ in range(4))
        # A row for each capability: 0 unknown, negative no, positive yes; the size is the evidence's strength + 1.
        self.claims = np.zeros((len(CAPABILITIES), room), np.int8)
        # A row for each built-in use case: which quality published facts and the size let expect, and its deviation.
        self.expected_quality = np.zeros((len(LIKE), room))
        self.expected_quality_spread = np.ones((len(LIKE), room))
        self.expected_output_tps[:], self.expected_ttft_ms_warm[:] = USUAL_OUTPUT_TPS, USUAL_TTFT_MS
        self._members: dict[int, set[int]] = {}  # rows by the code of their endpoint
        self._moved: set[int] = set()  # codes of endpoints with a model that came, went, or has another speed
        self.hourly = Tallies(room, _HOURS)
        self.daily = Tallies(room, _DAYS)

    def __len__(self) -> int:
        return len(self.rows)

    def with_room_for(self, models: int) -> "Columns":
        """Return the same models with room for this number of *models*."""
        larger = Columns(max(_FIRST_ROWS, 1 << (models - 1).bit_length()), self.published, self.why_closed)
        for facts in self.models():
            larger.put(facts)
        for load in self.loads.values():
            larger.press(load.event)
        return larger

    def models(self) -> Iterator[Facts]:
        """Yield the facts of every present model."""
        return (facts for facts in self.facts if facts is not None)

    @property
    def rank(self) -> NDArray[np.int64]:
        """The place of each row when the models are ordered by endpoint and name."""
        if self._rank is None:
            self._rank = np.zeros(self.room, np.int64)
            self._rank[self.order] = np.arange(len(self.rows))
        return self._rank

    @property
    def order(self) -> list[int]:
        """The rows, ordered by endpoint and name."""
        if self._order is None:
            self._order = [self.rows[model] for model in sorted(self.rows)]
        return self._order

    def drop(self, model: ModelRef) -> int | None:
        """Empty the row of *model*, and return which it was; None when there is none."""
        row = self.rows.pop(model, None)
        if row is not None:
            self._order = self._rank = None
            self.named[model.name].discard(row)
            self._members[int(self.endpoint[row])].discard(row)
            self._moved.add(int(self.endpoint[row]))
            self.facts[row] = None
            self._changed.discard(row)
            self.judged_on[row] += 1
            self.present[row] = False
            self._free.append(row)
        return row

    def put(self, facts: Facts) -> int:
        """Rewrite the row of a model, and return which it is. There must be room for a new one."""
        model = facts.model
        row = self.rows.get(model)
        if row is None:
            self._order = self._rank = None
            row = self.rows[model] = self._free.pop()
            self.named.setdefault(model.name, set()).add(row)
        before = self.facts[row]
        if before is None or _judged_on(before) != _judged_on(facts):
            self.judged_on[row] += 1
        self.facts[row] = facts
        self.present[row] = True
        if before is None or before.info != facts.info:
            self._describe(row, facts)
            self._members.setdefault(int(self.endpoint[row]), set()).add(row)
            self._press_one(row, self.loads.get(facts.model.endpoint))
            self._moved.add(int(self.endpoint[row]))
        if before is None or before.performance != facts.performance:
            self._time(row, facts.performance)
            self._moved.add(int(self.endpoint[row]))
        self.thought_tokens[row] = thought_tokens(
            facts.info.thinks, facts.quality.thoughts if facts.quality else None
        )
        if before is None or before.change != facts.change:
            self._change(row, facts)
        self._watch(row, facts)
        self._take_reports(row, facts)
        return row

    def _change(self, row: int, facts: Facts) -> None:
        change = facts.change
        self.ttft_change[row], self.speed_change[row] = change.ttft, change.speed
        self.change_spread[row], self.change_until[row] = change.spread, change.until
        self.speed_until[row] = change.speed_until
        self.failing[row], self.failing_until[row] = change.failing, change.failing_until
        (self._changed.add if change.any else self._changed.discard)(row)

    def press(self, event: EndpointLoad) -> list[int]:
        """Take the last load of an endpoint; return the rows of the models for which it changes anything."""
        rows = self.at_endpoint(event.endpoint)
        load = self.loads[event.endpoint] = Load(event=event, sharing=self._sharing(rows))
        return self._press(rows, load)

    def share(self, rows: NDArray[np.intp]) -> list[int]:
        """Compute again how much requests at the endpoint of *rows* slow each other down; return the changed rows."""
        facts = self.facts[rows[0]]
        load = self.loads.get(facts.model.endpoint) if facts else None
        return self.press(load.event) if load else []

    def _sharing(self, rows: Sequence[int]) -> float:
        columns = (self.shared_total, self.shared_weight, self.shared_estimate)
        return sharing(*(column[rows].tolist() for column in columns))

    def at_endpoint(self, endpoint: str) -> list[int]:
        """Return the rows of the models at *endpoint*."""
        return sorted(self._members.get(self.endpoints.find(endpoint), ()))

    def _press_one(self, row: int, load: Load | None) -> None:
        if load is None:
            self.load_until[row] = -np.inf
        else:
            self._press([row], load)

    def _press(self, rows: Sequence[int], load: Load) -> list[int]:
        """Enter *load* for the models in *rows* of its endpoint; return the rows whose expectation changes."""
        if not rows:
            return []
        names = [facts.model.name for row in rows if (facts := self.facts[row])]
        here = np.array(rows, np.intp)
        kept = (self.ttft_crowding, self.output_crowding, self.ahead, self.load_resident)
        after = np.array(load.figures(names)).T
        before = np.stack([column[here] for column in kept])
        same = ((before == after) | (np.isnan(before) & np.isnan(after))).all(axis=0)
        same &= self.load_until[here] >= load.event.at.timestamp()
        for column, figures in zip(kept, after, strict=True):
            column[here] = figures
        self.load_until[here] = load.until
        changed: list[int] = here[~same].tolist()
        return changed

    def _describe(self, row: int, facts: Facts) -> None:
        info = facts.info
        self.parameters[row] = _number(info.parameters)
        self.bytes_per_token[row] = _number(bytes_per_token(info))
        self.weights_bytes[row] = _number(info.size_bytes) if info.locality == "local" else np.nan
        self.ends_at[row] = _seconds(info.retires_at)
        expectations = known(info, self.published).expectations
        for place, use_case in enumerate(LIKE):
            expected = expectations[use_case]
            self.expected_quality[place, row] = expected.quality
            self.expected_quality_spread[place, row] = expected.spread
        self.context_tokens[row] = _number(info.context_tokens)
        price = facts.price_usd_per_mtok
        self.price_input[row], self.price_output[row] = price or (np.nan, np.nan)
        self.price_usd_per_mtok[row] = max(price) if price else np.nan
        self.locality[row] = LOCALITIES.index(info.locality)
        self.provider[row] = self.providers.take(info.provider)
        self.endpoint[row] = self.endpoints.take(info.model.endpoint)
        self.family[row] = self.families.take(info.family)
        self.license[row] = self.licenses.take(info.license)
        self.claims[:, row] = 0
        for name, claim in info.capabilities.items():
            if (capability := _PLACES.get(name)) is not None:
                strength = claim.evidence.strength + 1
                self.claims[capability, row] = strength if claim.value else -strength

    def _time(self, row: int, performance: Performance | None) -> None:
        for name in ("output_tps", "ttft_ms", "ttft_cold_ms", "texts_per_s", "e2e_ms"):
            getattr(self, name)[row] = _median(getattr(performance, name) if performance else None)
        self.output_tps_spread[row] = _spread(performance.output_tps if performance else None)
        self.ttft_spread[row] = _spread(performance.ttft_ms if performance else None)
        self.shared_total[row], self.shared_weight[row], self.shared_estimate[row] = shared(performance)
        self.runs[row] = performance.n - performance.contended / 2 if performance else np.nan
        self.measured_at[row] = _seconds(performance.measured_at if performance else None)

    def _watch(self, row: int, facts: Facts) -> None:
        health = facts.health
        self.status[row] = STATUSES.index(facts.status())
        self.closed[row] = facts.model.endpoint in self.why_closed
        self.never_answered[row] = facts.never_answered is not None
        self.checked_at[row] = _seconds(health.checked_at if health else None)
        self.resident_until[row] = _resident_until(health.residency if health else None)
        seen = with_calls(facts.info, facts.calls, health)
        self.hourly.put(row, seen.hourly if seen else ())
        self.daily.put(row, seen.daily if seen else ())

    def _take_reports(self, row: int, facts: Facts) -> None:
        reports = facts.reports
        if reports is None:
            self.reported_at[row] = np.nan
            self.reported_calls[row] = self.reported_ttft_n[row] = self.reported_output_tps_n[row] = 0.0
            return
        self.reported_at[row] = reports.as_of.timestamp()
        self.reported_calls[row] = reports.calls
        self.reported_succeeded[row] = reports.succeeded
        self.reported_ttft_n[row] = reports.ttft_n
        self.reported_ttft_ms[row] = _number(reports.ttft_ms)
        self.reported_output_tps_n[row] = reports.output_tps_n
        self.reported_output_tps[row] = _number(reports.output_tps)

    def take_moved(self) -> list[NDArray[np.intp]]:
        """Return the rows of each endpoint where a model came, went or has another speed since this was asked last."""
        moved, self._moved = self._moved, set()
        rows = (sorted(self._members.get(code, ())) for code in sorted(moved))
        return [np.array(some, np.intp) for some in rows if some]

    def capable(self, capabilities: Iterable[Capability]) -> Mask:
        """Return which models are present and known to have all *capabilities*."""
        able: Mask = self.present.copy()
        for capability in capabilities:
            able &= self.claims[CAPABILITIES.index(capability)] > 0
        return able

    def has_reports(self, rows: Rows) -> Mask:
        """Return which models in *rows* have outcome reports."""
        reported: Mask = ~np.isnan(self.reported_at[rows]) & self.present[rows]
        return reported

    def has_in_name(self, row: int, text: str) -> bool:
        """Return whether `endpoint/name` of the model in *row* holds *text*, which is in lower case."""
        facts = self.facts[row]
        return not text or (facts is not None and text in str(facts.model).casefold())

    def statuses(self, at: float, stale_after_s: float, rows: Rows) -> NDArray[np.int8]:
        """Return the status that may still be believed at *at*."""
        return np.where(self._stale(at, stale_after_s, rows), np.int8(_UNKNOWN), self.status[rows])

    def ttft_ms_with_loading(self, warm: Floats, at: float, stale_after_s: float, rows: Rows) -> Floats:
        """Return the time to the first token, *warm* or with loading where a model is known not to be loaded."""
        took = np.maximum(self.ttft_cold_ms[rows] - self.ttft_ms[rows], 0.0)
        loading = np.where(np.isnan(took), self.expected_load_ms[rows], took)
        cold = np.where(np.isnan(warm), self.ttft_cold_ms[rows], warm + loading)
        return np.where(self._gone(at, stale_after_s, rows), cold, warm)

    def _gone(self, at: float, stale_after_s: float, rows: Rows) -> Mask:
        """Return which models are known not to be loaded: by the last load, else by the last probe."""
        probed = (self.resident_until[rows] <= at) & ~self._stale(at, stale_after_s, rows)
        resident = self.load_resident[rows]
        seen = (self.load_until[rows] >= at) & ~np.isnan(resident)
        gone: Mask = np.where(seen, resident == 0.0, probed)
        return gone

    def pace(self, at: float, rows: Rows, *, load: bool = True) -> Pace:
        """Return how fast the models in *rows* are as changes and, with *load*, other requests make them."""
        begins, writes = self._times_slower(at, rows)
        if not load or not self.loads:
            output_tps, usual_tps = self.output_tps[rows] / writes, self.expected_output_tps[rows] / writes
            return Pace(
                self.ttft_ms[rows] * begins, output_tps, self.expected_ttft_ms_warm[rows] * begins, usual_tps
            )
        counts = self.load_until[rows] >= at
        begins = begins * np.where(counts, self.ttft_crowding[rows], 1.0)
        writes = writes * np.where(counts, self.output_crowding[rows], 1.0)
        output_tps, usual_tps = self.output_tps[rows] / writes, self.expected_output_tps[rows] / writes
        rate = np.where(np.isnan(output_tps), usual_tps, output_tps)
        # How long a further request waits for a slot.
        wait_ms = np.where(counts, 1000.0 * BUSY_TOKENS * self.ahead[rows] / np.maximum(rate, 1e-6), 0.0)
        return Pace(
            self.ttft_ms[rows] * begins + wait_ms,
            output_tps,
            self.expected_ttft_ms_warm[rows] * begins + wait_ms,
            usual_tps,
        )

    def _times_slower(self, at: float, rows: Rows) -> tuple[Floats | float, Floats | float]:
        """Return how many times slower than measured the first token and the output are, by detected changes."""
        if not self._changed:
            return 1.0, 1.0
        begins, writes = (
            np.exp(np.where(until[rows] >= at, change[rows], 0.0))
            for change, until in (
                (self.ttft_change, self.change_until),
                (self.speed_change, np.minimum(self.change_until, self.speed_until)),
            )
        )
        return begins, writes

    def spread_now(self, at: float, rows: Rows) -> Floats | float:
        """Return what not being sure of a change adds to the relative spread of its latencies."""
        if not self._changed:
            return 0.0
        return np.where(self.change_until[rows] >= at, self.change_spread[rows], 0.0)

    def failing_now(self, at: float, rows: Rows) -> Floats | float:
        """Return the share of calls that fail now, beyond the usual."""
        if not self._changed:
            return 0.0
        return np.where(self.failing_until[rows] >= at, self.failing[rows], 0.0)

    def _stale(self, at: float, stale_after_s: float, rows: Rows) -> Mask:
        age_s = at - self.checked_at[rows]
        stale: Mask = (age_s > stale_after_s) | (age_s < -MAX_AHEAD.total_seconds())
        return stale


def _judged_on(facts: Facts) -> tuple[object, ...]:
    return facts.info, facts.quality, facts.judged, facts.ratings


@lru_cache(maxsize=4096)  # most hours and days are alike
def _up_and_counted(counts: tuple[tuple[str, int], ...]) -> tuple[int, int]:
    up = counted = 0
    for outcome, n in counts:
        if outcome in _UP:
            up += n
        elif outcome in _NOT_COUNTED:
            continue
        counted += n
    return up, counted


def _resident_until(residency: Residency | None) -> float:
    if residency is None:
        return math.nan
    if not residency.resident:
        return -math.inf
    return residency.expires_at.timestamp() if residency.expires_at else math.inf


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _median(figure: Figure | None) -> float:
    return _number(median(figure))


def _spread(figure: Figure | None) -> float:
    return figure.spread if figure else np.nan


def _seconds(moment: datetime | None) -> float:
    return np.nan if moment is None else moment.timestamp()
