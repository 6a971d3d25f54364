"""The values of published facts that other rooms read. Pure."""

from collections.abc import Mapping
from datetime import date
from typing import Literal

from vedette.types import Value

Basis = Literal["model", "family", "tier", "size_and_date", "size", "nothing"]


class Expectation(Value, frozen=True, kw_only=True):
    """Which quality to expect in one use case, before any evaluation here."""

    quality: float  # share of right answers in Vedette's own evaluation, 0 to 1
    spread: float  # its standard deviation


class Known(Value, frozen=True, kw_only=True):
    """The published facts about one model."""

    name: str | None  # as which model it was recognised; None: not recognised
    basis: Basis
    expectations: Mapping[str, Expectation]  # by built-in use case
    sources: tuple[str, ...] = ()  # the sources that weigh most
    released: date | None = None
    shutdown: date | None = None  # when the service ends, as published
    deprecated: bool = False  # the end is announced, perhaps without a date
    embeds: bool = False  # an embedding model; of others, nothing is expected in that use case


def shut_down(known: Known, on: date) -> bool:
    """Return whether the published shutdown date of a model has passed *on* that day."""
    return known.shutdown is not None and known.shutdown < on
