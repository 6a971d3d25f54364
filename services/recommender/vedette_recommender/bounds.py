"""What no signal makes up for: an answer that takes too long, costs too much, or is far below the best there is. Pure.

Within a bound a model keeps its score. Beyond it, its score is divided by how many times the bound it is, so that the
order stays, nothing jumps, and where all models are beyond it, one is still recommended.
"""

from typing import Final

import numpy as np

from vedette.usecases import Bounds, UseCase
from vedette_recommender.columns import Columns, Floats, Rows

BOUNDS: Final = Bounds.__struct_fields__


def answer_s(columns: Columns, at: float, rows: Rows, use_case: UseCase, *, load: bool = True) -> Floats:
    """Return the seconds of a typical answer now: as measured, else as expected; NaN for models that embed."""
    if use_case.embeds:
        return np.full_like(columns.ttft_ms[rows], np.nan)
    first_ms = _else(columns.ttft_ms_now(at, rows, load=load), columns.usual_ttft_ms_now(at, rows, load=load))
    tokens_per_s = _else(
        columns.output_tps_now(at, rows, load=load), columns.usual_output_tps_now(at, rows, load=load)
    )
    return first_ms / 1000.0 + use_case.tokens[1] / np.maximum(tokens_per_s, 1e-6)


def answer_usd(columns: Columns, rows: Rows, use_case: UseCase) -> Floats:
    """Return the US dollars of a typical answer; NaN where no price is known."""
    into, out_of = use_case.tokens
    return (into * columns.price_input[rows] + out_of * columns.price_output[rows]) / 1e6


def multipliers(
    columns: Columns,
    at: float,
    rows: Rows,
    use_case: UseCase,
    bounds: Bounds,
    quality: Floats,
    best: float,
    *,
    load: bool = True,
) -> Floats:
    """Return what each bound makes of the scores of *rows*, in the order of BOUNDS: 1 within it.

    *quality* is what to expect of each model, *best* the most that is to be expected of any candidate.
    """
    made = np.ones((len(BOUNDS), len(quality)))
    if bounds.answer_s is not None:
        made[0] = _within(bounds.answer_s, answer_s(columns, at, rows, use_case, load=load))
    if bounds.answer_usd is not None:
        made[1] = _within(bounds.answer_usd, answer_usd(columns, rows, use_case))
    if bounds.quality is not None and best > 0.0:
        made[2] = np.minimum(1.0, quality / (bounds.quality * best))
    return made


def _within(most: float, values: Floats) -> Floats:
    return np.minimum(1.0, most / np.maximum(np.where(np.isnan(values), 0.0, values), 1e-12))


def _else(measured: Floats, expected: Floats) -> Floats:
    return np.where(np.isnan(measured), expected, measured)
