"""Compares sets of endpoints: new, changed and missing ones since the last publication. Pure.

A missing endpoint is asleep until the grace period is over, and gone after that. Endpoints of a scope that cannot be
read stay as they were.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct

from vedette_discoverer.sources.view import MAX_REASON, View


class Shown(Struct, frozen=True, kw_only=True):
    """The published state of one endpoint."""

    origin: str
    state: Literal["there", "asleep", "gone", "refused"]
    settings: dict[str, Any] = {}
    key: str | None = None
    reason: str = ""

    @property
    def live(self) -> bool:
        """Whether processes have the endpoint."""
        return self.state in ("there", "asleep")


class Turnover(Struct, frozen=True, kw_only=True):
    """The states to publish, by name, and since when names are missing (monotonic seconds)."""

    changed: dict[str, Shown]
    missing: dict[str, float]


def turnover(
    shown: Mapping[str, Shown],
    view: View,
    missing: Mapping[str, float],
    *,
    now_s: float,
    grace_s: float,
    at_once: bool = True,
) -> Turnover:
    """Return the states to publish after *view*. *shown* has the published states, *missing* is from the last turnover.

    *view* has one endpoint for each name (`view.settled`). Unless *at_once*, a missing endpoint keeps its state until
    the grace period is over.
    """
    found = {
        one.name: Shown(
            origin=one.origin,
            state=one.state,
            settings=one.settings,
            key=one.key,
            reason=one.reason[:MAX_REASON],
        )
        for one in view.wanted
    }
    refused = {
        one.name: Shown(origin=one.origin, state="refused", reason=one.reason[:MAX_REASON])
        for one in view.refused
        if one.name not in found
    }
    changed = {name: one for name, one in found.items() if shown.get(name) != one}
    still: dict[str, float] = {}
    for name, before in shown.items():
        if name in found or before.state == "gone" or _is_unseen(before.origin, view.unseen):
            continue
        if before.live:
            since = missing.get(name, now_s)
            if now_s - since < grace_s:
                still[name] = since
                # Published once: another replica may still find it.
                if at_once and name not in missing and name not in refused:
                    changed[name] = _not_found(before, grace_s)
                continue
            changed[name] = refused.get(name) or _gone(before, grace_s)
        elif name not in refused:
            changed[name] = Shown(
                origin=before.origin, state="gone", reason="no longer asks to be an endpoint"
            )
    changed |= {name: one for name, one in refused.items() if name not in still and shown.get(name) != one}
    return Turnover(changed=changed, missing=still)


def _not_found(before: Shown, grace_s: float) -> Shown:
    return msgspec.structs.replace(before, state="asleep", reason=f"not found; gone after {grace_s:g} s")


def _gone(before: Shown, grace_s: float) -> Shown:
    return Shown(origin=before.origin, state="gone", reason=f"not found for {grace_s:g} s")


def _is_unseen(origin: str, scopes: Iterable[str]) -> bool:
    return any(origin.startswith(scope) for scope in scopes)
