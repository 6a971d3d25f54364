"""The view of a source: endpoints, refused objects, and places that it cannot read. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct

MAX_REASON: Final = 300  # characters
# Of one source: every process holds each endpoint, and reads all of them when it starts.
MAX_ENDPOINTS: Final = 1000
State = Literal["there", "asleep"]


class Wanted(Struct, frozen=True, kw_only=True):
    """An endpoint that an object of a source asks for. `origin` names the object: `Service ml/vllm`.

    `settings` are keys of `[endpoints.NAME]`, `key` is a name under `[discovery.keys]`. An endpoint that is scaled to
    zero is asleep: known, but never contacted. `reason` says why it is asleep; if it is not, it is a note for
    operators.
    """

    name: str
    origin: str
    settings: dict[str, Any]
    key: str | None = None
    state: State = "there"
    reason: str = ""


class Refused(Struct, frozen=True, kw_only=True):
    """An object that asks to be an endpoint `name`, and why it cannot be one."""

    name: str
    origin: str
    reason: str


class View(Struct, frozen=True, kw_only=True):
    """All endpoints that a source sees at one time. Endpoints of an `unseen` scope stay as they were.

    A scope is the beginning of an origin (`Service ml/`); "" means everything. Its reason, if there is one, is for
    operators.
    """

    wanted: tuple[Wanted, ...] = ()
    refused: tuple[Refused, ...] = ()
    unseen: Mapping[str, str] = {}
    notes: tuple[str, ...] = ()  # for operators; they change no endpoint


class Unfit(ValueError):
    """Why an object cannot be an endpoint, as a sentence for the owner of the object."""


def settled(view: View, owners: Mapping[str, str]) -> View:
    """Return *view* with one endpoint for each name, at most 1,000. The others are refused.

    The endpoint whose origin owns the name is kept, else the first by origin. *owners*: origins by name.
    """
    by_name: dict[str, list[Wanted]] = {}
    for wanted in sorted(view.wanted, key=lambda one: one.origin):
        by_name.setdefault(wanted.name, []).append(wanted)
    kept: list[Wanted] = []
    refused = list(view.refused)
    for name, claims in by_name.items():
        first = next((one for one in claims if one.origin == owners.get(name)), claims[0])
        kept.append(first)
        refused += [
            Refused(
                name=name,
                origin=one.origin,
                reason=f"{first.origin} has the name {name}; give this one another by vedette.dev/name",
            )
            for one in claims
            if one is not first
        ]
    kept.sort(key=lambda one: (one.name not in owners, one.name))
    too_many = f"the source has more than {MAX_ENDPOINTS:,} endpoints"
    refused += [Refused(name=one.name, origin=one.origin, reason=too_many) for one in kept[MAX_ENDPOINTS:]]
    return View(
        wanted=tuple(kept[:MAX_ENDPOINTS]),
        refused=tuple(refused[:MAX_ENDPOINTS]),
        unseen=view.unseen,
        notes=view.notes,
    )


def problems(view: View) -> list[str]:
    """Return notes on *view* for operators, one a line."""
    scopes: dict[str, list[str]] = {}
    for scope, reason in sorted(view.unseen.items()):
        if not reason:
            continue
        scopes.setdefault(reason, []).append(scope.strip(" /"))
    unseen = [
        f"{', '.join(names)} cannot be seen: {reason}" if any(names) else reason
        for reason, names in scopes.items()
    ]
    refused = [f"{one.origin}: {one.reason}" for one in sorted(view.refused, key=lambda one: one.origin)]
    return [*unseen, *refused, *view.notes]


def together(views: Iterable[View]) -> View:
    """Return one view of all *views*."""
    parts = list(views)
    return View(
        wanted=tuple(one for part in parts for one in part.wanted),
        refused=tuple(one for part in parts for one in part.refused),
        unseen={scope: reason for part in parts for scope, reason in part.unseen.items()},
        notes=tuple(note for part in parts for note in part.notes),
    )
