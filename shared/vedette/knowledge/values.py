"""The published facts in the form that other packages read. Pure."""

from collections.abc import Mapping
from datetime import date
from typing import Literal

from vedette.types import Value

Basis = Literal["model", "family", "tier", "size_and_date", "size", "nothing"]


class Expectation(Value, frozen=True, kw_only=True):
    """The expected quality in one use case, before any evaluation here."""

    quality: float  # share of right answers in Vedette's evaluation, 0 to 1
    spread: float  # its standard deviation


class Known(Value, frozen=True, kw_only=True):
    """The published facts about one model."""

    name: str | None  # the recognised published model; None: not recognised
    basis: Basis
    expectations: Mapping[str, Expectation]  # by built-in use case
    sources: tuple[str, ...] = ()  # the sources with the most weight
    released: date | None = None
    shutdown: date | None = None  # published end of the service
    deprecated: bool = False  # the end is announced, possibly without a date
    embeds: bool = False  # an embedding model; other models have no expectation for embedding


def shut_down(known: Known, on: date) -> bool:
    """Return whether the published shutdown date of a model is before the day *on*."""
    return known.shutdown is not None and known.shutdown < on
