"""The models of a list, their order, and their counts. Pure."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vedette.messages.queries import Counts, ModelsRequest
from vedette.types import SortKey
from vedette_recommender.columns import CAPABILITIES, STATUSES, Columns, Floats, Mask
from vedette_recommender.filtering import uptime

_FIGURES: Final[dict[SortKey, str]] = {
    SortKey.TTFT_MS: "ttft_ms",
    SortKey.CONTEXT: "context_tokens",
    SortKey.PARAMETERS: "parameters",
    SortKey.PRICE: "price_usd_per_mtok",
    SortKey.CHECKED_AT: "checked_at",
}


def listed(columns: Columns, request: ModelsRequest, statuses: NDArray[np.int8]) -> Mask:
    """Return the models that a list is to hold, by everything but the text in their names."""
    among = columns.present.copy()
    for values, names, wanted in (
        (columns.provider, columns.providers, request.provider),
        (columns.endpoint, columns.endpoints, request.endpoint),
        (columns.family, columns.families, request.family),
    ):
        if wanted is not None:
            among &= values == names.find(wanted)
    if request.status is not None:
        among &= statuses == STATUSES.index(request.status)
    known = request.constraints.unknown_capabilities == "reject"  # otherwise its constraints decide
    for capability in request.capabilities if known else ():
        among &= columns.claims[CAPABILITIES.index(capability)] > 0
    return among


def ordered(columns: Columns, rows: Sequence[int], request: ModelsRequest, at: float) -> Sequence[int]:
    """Return *rows*, which are ordered by name, as *request* wants them at *at*; equal ones stay in that order."""
    if request.sort is SortKey.NAME:
        return rows[::-1] if request.descending else rows
    places = np.array(rows, np.intp)
    figures = _figures(columns, request.sort, places, at)
    # NaN stays last in both directions.
    by = np.argsort(-figures if request.descending else figures, kind="stable")
    ordered_rows: list[int] = places[by].tolist()
    return ordered_rows


def _figures(columns: Columns, sort: SortKey, rows: NDArray[np.intp], at: float) -> Floats:
    if sort is SortKey.UPTIME:
        return uptime(columns, at, hours=24)[rows]
    if sort is SortKey.OUTPUT_TPS:
        tps, texts = columns.output_tps[rows], columns.texts_per_s[rows]
        return np.where(np.isnan(tps), texts, tps)
    figures: Floats = getattr(columns, _FIGURES[sort])[rows]
    return figures


def counted(columns: Columns, rows: Sequence[int], statuses: NDArray[np.int8]) -> Counts:
    """Return what the models in *rows* amount to; *statuses* has a place in STATUSES for each row of *columns*."""
    places = np.array(rows, np.intp)
    by_status = np.bincount(statuses[places], minlength=len(STATUSES)).tolist()
    return Counts(
        statuses={status: n for status, n in zip(STATUSES, by_status, strict=True) if n},
        unmeasured=int(np.count_nonzero(np.isnan(columns.measured_at[places]))),
        unevaluated=sum(1 for row in rows if (facts := columns.facts[row]) is None or facts.quality is None),
    )
