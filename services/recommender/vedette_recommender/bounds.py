"""Bounds: limits that no signal outweighs. For slow or expensive answers, low quality, a too small context. Pure.

Within a bound a model keeps its score. Beyond it, the score is divided by the ratio of the value to the bound. So the
order of such models stays, no score jumps, and if all models are beyond the bound, one is still recommended.
"""

from typing import Final

import numpy as np

from vedette.usecases import Bounds, UseCase
from vedette_recommender.columns import Columns, Floats, Pace, Rows

BOUNDS: Final = Bounds.__struct_fields__


def answer_s(pace: Pace, use_case: UseCase, thoughts: Floats) -> Floats:
    """Return the seconds of a typical answer at *pace*, as measured, else as expected.

    NaN for models that embed. *thoughts* are the expected thinking tokens before an answer.
    """
    if use_case.embeds:
        return np.full_like(pace.ttft_ms, np.nan)
    first_ms = _else(pace.ttft_ms, pace.usual_ttft_ms)
    tokens_per_s = _else(pace.output_tps, pace.usual_output_tps)
    return first_ms / 1000.0 + (use_case.tokens[1] + thoughts) / np.maximum(tokens_per_s, 1e-6)


def answer_usd(columns: Columns, rows: Rows, use_case: UseCase) -> Floats:
    """Return the US dollars of a typical answer, with the thoughts before it; NaN where no price is known."""
    written = use_case.tokens[1] + columns.thought_tokens[rows]
    return (use_case.tokens[0] * columns.price_input[rows] + written * columns.price_output[rows]) / 1e6


def multipliers(
    bounds: Bounds, takes_s: Floats, costs_usd: Floats, quality: Floats, best: float, context: Floats
) -> Floats:
    """Return the factor of each of *bounds* for the scores of models, in the order of BOUNDS: 1 within it.

    For each model, a typical answer takes *takes_s* seconds and costs *costs_usd*. *quality* is its expected quality,
    *context* its context (tokens; NaN: not known). *best* is the highest expected quality of a candidate.
    """
    made = np.ones((len(BOUNDS), len(quality)))
    if bounds.answer_s is not None:
        made[0] = _within(bounds.answer_s, takes_s)
    if bounds.answer_usd is not None:
        made[1] = _within(bounds.answer_usd, costs_usd)
    if bounds.quality is not None and best > 0.0:
        made[2] = np.minimum(1.0, quality / (bounds.quality * best))
    if bounds.context_tokens is not None:
        made[3] = np.minimum(1.0, np.where(np.isnan(context), np.inf, context) / bounds.context_tokens)
    return made


def _within(most: float, values: Floats) -> Floats:
    return np.minimum(1.0, most / np.maximum(np.where(np.isnan(values), 0.0, values), 1e-12))


def _else(measured: Floats, expected: Floats) -> Floats:
    return np.where(np.isnan(measured), expected, measured)
