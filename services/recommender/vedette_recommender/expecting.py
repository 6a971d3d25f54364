"""The expected speed of a model that was not measured: from its size and from other models of its endpoint. Pure.

A machine generates tokens as fast as it reads the weights for each token. So the speed of one model of an endpoint
gives an expectation for the others there. If no model there was measured, a modest machine is assumed. A hosted model
is expected to be as fast as the other models of its service, for any size, because each may run on another machine. If
none of them was measured, the expectation is a speed that services publish.
"""

from typing import Final

import numpy as np

from vedette_recommender.columns import LOCALITIES, Columns, Floats, Rows
from vedette_recommender.constants import (
    HOSTED_OUTPUT_TPS,
    HOSTED_TTFT_MS,
    LOAD_BYTES_PER_S,
    LOCAL_BYTES_PER_S,
    LOCAL_TTFT_MS,
    USUAL_OUTPUT_TPS,
    USUAL_TTFT_MS,
)

_STEPS_PER_OCTAVE: Final = 4
_LOCAL, _REMOTE = LOCALITIES.index("local"), LOCALITIES.index("remote")


def settle(columns: Columns) -> set[int]:
    """Compute the expectations again at endpoints with new measurements; return the rows that changed."""
    changed: set[int] = set()
    for rows in columns.take_moved():
        for kept, new in (
            (columns.expected_output_tps, output_tps(columns, rows)),
            (columns.expected_ttft_ms_warm, ttft_ms(columns, rows)),
            (columns.expected_load_ms, load_ms(columns, rows)),
        ):
            changed.update(rows[(kept[rows] != new) & ~(np.isnan(kept[rows]) & np.isnan(new))].tolist())
            kept[rows] = new
        changed.update(columns.share(rows))
    return changed


def load_ms(columns: Columns, rows: Rows) -> Floats:
    """Return how long it takes to load the models in *rows*, which share an endpoint; NaN where no size is known."""
    took_ms = columns.ttft_cold_ms[rows] - columns.ttft_ms[rows]
    size = columns.weights_bytes[rows]
    read = _middle(size / np.where(took_ms > 0, took_ms, np.nan))
    return size / (LOAD_BYTES_PER_S / 1000.0 if np.isnan(read) else read)


def output_tps(columns: Columns, rows: Rows) -> Floats:
    """Return the tokens per second to expect of the models in *rows*, which share an endpoint."""
    measured, weights = columns.output_tps[rows], columns.bytes_per_token[rows]
    achieved = _middle(measured * weights)
    local = columns.locality[rows] == _LOCAL
    by_size = (LOCAL_BYTES_PER_S if np.isnan(achieved) else achieved) / weights
    sized = np.where(local, by_size, np.nan)
    hosted = np.where(columns.locality[rows] == _REMOTE, HOSTED_OUTPUT_TPS, USUAL_OUTPUT_TPS)
    usual = _middle(measured)
    return np.where(np.isnan(sized), hosted if np.isnan(usual) else usual, sized)


def ttft_ms(columns: Columns, rows: Rows) -> Floats:
    """Return the time to the first token to expect of the models in *rows*, which share an endpoint."""
    measured, size = columns.ttft_ms[rows], 1.0 + columns.bytes_per_token[rows] / 1e9
    taken = _middle(measured / size)
    local = columns.locality[rows] == _LOCAL
    by_size = (LOCAL_TTFT_MS / 5.0 if np.isnan(taken) else taken) * size
    sized = np.where(local, by_size, np.nan)
    hosted = np.where(columns.locality[rows] == _REMOTE, HOSTED_TTFT_MS, USUAL_TTFT_MS)
    usual = _middle(measured)
    return np.where(np.isnan(sized), hosted if np.isnan(usual) else usual, sized)


def _middle(values: Floats) -> float:
    """Return the median in steps of a quarter of an octave, so that not every benchmark changes what is expected."""
    known = values[np.isfinite(values) & (values > 0.0)]
    if not len(known):
        return np.nan
    return float(
        np.exp2(np.rint(np.log2(max(float(np.median(known)), 1e-9)) * _STEPS_PER_OCTAVE) / _STEPS_PER_OCTAVE)
    )
