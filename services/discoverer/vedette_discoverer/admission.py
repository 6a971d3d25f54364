"""Which listed names of an endpoint become models, so that no server decides the number of models. Pure.

Each name costs a subject, events and memory in every service. Known names are always admitted. New names are admitted
up to a limit for each day; the first listing of an endpoint does not count (ADR 0015).
"""

from collections.abc import Container, Sequence
from datetime import datetime, timedelta

from vedette.providers import Listing
from vedette.types import EndpointState, Intake

_WINDOW = timedelta(hours=24)


def admit(
    before: EndpointState | None,
    listing: Sequence[Listing],
    *,
    known: Container[str],
    per_day: int,
    now: datetime,
) -> tuple[list[Listing], Intake]:
    """Return the entries of *listing* to take as models, and the endpoint's count of new names after that.

    *known* are names that have been models here and are remembered. *per_day* bounds the others.
    """
    listed_before = {entry.name for entry in before.listing} if before else set()
    first = before is None or before.listed_at is None
    intake = _current(before.intake if before else None, now)
    left = len(listing) if first else max(0, per_day - intake.names)
    admitted, new = [], 0
    for entry in listing:
        if not (entry.name in known or entry.name in listed_before):
            if new >= left:
                continue
            new += 1
        admitted.append(entry)
    counted = 0 if first else new
    return admitted, Intake(
        since=intake.since, names=intake.names + counted, refused=len(listing) - len(admitted)
    )


def _current(intake: Intake | None, now: datetime) -> Intake:
    """Return *intake*, or a new one if its day is over or, after a wrong clock, in the future."""
    if intake is None or not (intake.since <= now < intake.since + _WINDOW):
        return Intake(since=now)
    return intake
