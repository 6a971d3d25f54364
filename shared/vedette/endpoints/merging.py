"""Decides which endpoints are in force: those of the file, those from sources, and the operators' changes. Pure.

The order (ADR 0042): an operator's definition overrides single keys of the base: the endpoint of that name in the file,
else the one that appeared, from the first source by name. An unusable definition is left out, with its reason, and its
base stays in force.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from vedette.errors import ConfigurationError
from vedette.messages.events import EndpointAppeared, EndpointDefined, Event
from vedette.providers import addresses
from vedette.settings import (
    CREDENTIALS,
    Defined,
    EndpointSettings,
    LeftOut,
    Origin,
    Secret,
    Seen,
    Settings,
    endpoint_of,
)

MAX_APPEARED: Final = 1000  # a limit, because anyone who creates Services could add more
# Keys that a source may set: no secret, nothing that causes costs or changes how TLS is checked.
OF_SOURCES: Final = frozenset(
    {
        "provider",
        "url",
        "flavour",
        "host_group",
        "locality",
        "models",
        "timeout_s",
        "exclude",
        "answer",
        "benchmark",
        "verify_capabilities",
        "evaluate",
    }
)
# Headers that hold a credential. They are given by reference.
_CREDENTIAL: Final = re.compile("auth|key|token|secret|password|cookie", re.IGNORECASE)


class Definitions:
    """Definitions by operators and by sources: the last message of each subject in the streams."""

    def __init__(self) -> None:
        self.defined: dict[str, EndpointDefined] = {}
        self.appeared: dict[tuple[str, str], EndpointAppeared] = {}  # by source and name
        self.seen = Seen()
        self._sequences: dict[str, int] = {}

    def apply(self, event: Event, sequence: int) -> bool:
        """Store *event*; return whether it is newer than the known event of its subject."""
        if not isinstance(event, EndpointDefined | EndpointAppeared):
            return False
        if self._sequences.get(event.subject, 0) >= sequence:
            return False
        self._sequences[event.subject] = sequence
        if isinstance(event, EndpointDefined):
            self.defined[event.endpoint] = event
            self.seen = msgspec.structs.replace(self.seen, definitions=sequence)
            return True
        self.seen = msgspec.structs.replace(self.seen, appeared=sequence)
        if event.state == "gone":
            self.appeared.pop((event.source, event.endpoint), None)
        else:
            self.appeared[event.source, event.endpoint] = event
        return True

    def sequence(self, subject: str) -> int:
        """Return the sequence of the last message of *subject*, 0 without one."""
        return self._sequences.get(subject, 0)


class _Beneath(Struct, frozen=True, kw_only=True):
    """A base for an operator's definition."""

    source: str
    settings: EndpointSettings
    seen_as: str = ""
    asleep: str | None = None


def merged(file: Settings, definitions: Definitions, now: datetime) -> Settings:
    """Return *file* with the endpoints that are in force at *now*, and `defined`, which says where they are from."""
    merging = _Merging(file, definitions, now)
    names = {*file.endpoints, *definitions.defined, *(name for _, name in definitions.appeared)}
    for name in (*file.endpoints, *sorted(names - file.endpoints.keys())):
        merging.take(name)
    merging.leave_twins_out()
    defined = Defined(origins=merging.origins, left_out=tuple(merging.left_out), seen=definitions.seen)
    return msgspec.structs.replace(file, endpoints=merging.endpoints, defined=defined)


def _fit_to_show(url: object) -> str:
    """Return *url* if every client may read it; a refused URL may contain a login."""
    return url[:200] if isinstance(url, str) and addresses.wrong_with(url) is None else ""


def place(url: str) -> str:
    """Return *url* without parts that do not change its target."""
    return url.rstrip("/").removesuffix("/v1").lower()


class _Merging:
    """One merge: the endpoints in force so far, and the left-out ones."""

    def __init__(self, file: Settings, definitions: Definitions, now: datetime) -> None:
        self._file = file
        self._definitions = definitions
        self._now = now
        self.endpoints: dict[str, EndpointSettings] = {}
        self.origins: dict[str, Origin] = {}
        self.left_out: list[LeftOut] = []
        self._sources: dict[str, list[EndpointAppeared]] = {}
        room = MAX_APPEARED
        for _, one in sorted(definitions.appeared.items()):
            if one.state == "refused" or room:
                self._sources.setdefault(one.endpoint, []).append(one)
                room -= one.state != "refused"  # they take no place from other endpoints
            else:
                self._refuse(one, f"more than {MAX_APPEARED:,} endpoints appeared")

    def take(self, name: str) -> None:
        """Add *name* to the endpoints in force, or leave it out."""
        beneath = list(self._beneath(name))
        definition = self._definitions.defined.get(name)
        if definition is None:
            self._take_first(name, beneath)
        elif definition.removed:
            by = f"removed by {definition.by or 'an operator'}"
            for one in beneath:
                self._hide(
                    name, one, by + (f": {definition.reason}" if definition.reason else ""), definition
                )
        elif definition.whole:
            self._define(name, definition, None, beneath)
        elif beneath:
            self._define(name, definition, beneath[0], beneath[1:])
        elif definition.settings or definition.paused:
            self.left_out.append(
                LeftOut(
                    endpoint=name,
                    source="operator",
                    why="changes an endpoint that is not there",
                    by=definition.by,
                    at=definition.at,
                )
            )

    def _beneath(self, name: str) -> Iterator[_Beneath]:
        """Yield the definitions of *name* in the file and the sources, in order of precedence."""
        if (configured := self._file.endpoints.get(name)) is not None:
            yield _Beneath(source="file", settings=configured)
        for one in self._sources.get(name, ()):
            if one.state == "refused":
                self._refuse(one, f"{one.origin}: {one.reason}")
                continue
            try:
                found = appeared(one, self._file)
            except ConfigurationError as error:
                self._refuse(one, error.problem)
                continue
            asleep = (one.reason or "scaled to zero") if one.state == "asleep" else None
            yield _Beneath(source=one.source, settings=found, seen_as=one.origin, asleep=asleep)

    def _refuse(self, one: EndpointAppeared, problem: str) -> None:
        self.left_out.append(
            LeftOut(
                endpoint=one.endpoint,
                source=one.source,
                url=_fit_to_show(one.settings.get("url")),
                why=problem,
                at=one.at,
                wrong=True,
            )
        )

    def _take_first(self, name: str, beneath: list[_Beneath]) -> None:
        if not beneath:
            return
        first, *others = beneath
        self.endpoints[name] = first.settings
        if first.source != "file":
            self.origins[name] = Origin(source=first.source, seen_as=first.seen_as, asleep=first.asleep)
        for one in others:
            self._hide(name, one, f"the name is taken, by {_called(first.source)}")

    def _define(
        self,
        name: str,
        definition: EndpointDefined,
        beneath: _Beneath | None,
        others: list[_Beneath],
    ) -> None:
        """Apply *definition* to its base *beneath*; leave it out if the result is not a valid endpoint."""
        trouble = ""
        try:
            settings = laid_over(name, definition, beneath.settings if beneath else None)
        except ConfigurationError as error:
            trouble = f"{_key(error)}{error.problem}"
            self.left_out.append(
                LeftOut(
                    endpoint=name,
                    source="operator",
                    why=trouble,
                    by=definition.by,
                    at=definition.at,
                    wrong=True,
                )
            )
            if beneath is None:
                self._take_first(name, others)
                return
            settings = beneath.settings
        self.endpoints[name] = settings
        paused = definition.paused if definition.paused and definition.paused.holds(self._now) else None
        changed = tuple(sorted(definition.settings)) if beneath and not trouble else ()
        if beneath is None or changed or paused or trouble or beneath.source != "file":
            self.origins[name] = Origin(
                source=beneath.source if beneath else "operator",
                seen_as=beneath.seen_as if beneath else "",
                changed=changed,
                by=definition.by,
                at=definition.at,
                reason=definition.reason,
                paused=paused,
                asleep=beneath.asleep if beneath and "url" not in definition.settings else None,
                trouble=trouble,
                left_behind=_all_left_behind(definition, beneath, settings) if not trouble else (),
            )
        for one in others:
            self._hide(
                name, one, f"the name is taken, by {_called(beneath.source if beneath else 'operator')}"
            )

    def _hide(self, name: str, one: _Beneath, why: str, by: EndpointDefined | None = None) -> None:
        self.left_out.append(
            LeftOut(
                endpoint=name,
                source=one.source,
                url=one.settings.url,
                why=why,
                by=by.by if by else "",
                at=by.at if by else None,
            )
        )

    def leave_twins_out(self) -> None:
        """Leave out endpoints from sources with the URL of another endpoint: their models would be measured twice.

        Endpoints that name different models are kept: one gateway may serve them all. A sleeping endpoint is left out,
        because its source may have it under another name now.
        """
        at: dict[tuple[str, frozenset[str]], str] = {}
        late = sorted(filter(self._may_be_a_twin, self.endpoints), key=self._gives_way)
        for name in (*(one for one in self.endpoints if one not in late), *late):
            settings = self.endpoints[name]
            first = at.setdefault((place(settings.url), frozenset(settings.models)), name)
            if first == name or name not in late:
                continue
            origin = self.origins.pop(name)
            self.left_out.append(
                LeftOut(
                    endpoint=name,
                    source=origin.source,
                    url=self.endpoints.pop(name).url,
                    why=f"is {first}, by its URL",
                )
            )

    def _gives_way(self, name: str) -> bool:
        origin = self.origins[name]
        return origin.asleep is not None and origin.paused is None

    def _may_be_a_twin(self, name: str) -> bool:
        origin = self.origins.get(name)
        return (
            origin is not None and origin.source not in ("file", "operator") and "url" not in origin.changed
        )


def appeared(one: EndpointAppeared, file: Settings) -> EndpointSettings:
    """Return the endpoint that a source shows. Raises ConfigurationError for keys that no source may set."""
    where = f"{one.source}: {one.endpoint}"
    free = one.settings.get("measure") is False  # a source may save costs, but not cause them
    for key in sorted(one.settings.keys() - OF_SOURCES - ({"measure"} if free else set())):
        raise ConfigurationError(where=where, problem=f"{key} may not be set by {_called(one.source)}")
    table = dict(one.settings)
    if one.key is not None:
        secret = file.discovery.keys.get(one.key)
        if secret is None:
            raise ConfigurationError(where=where, problem=f"the key {one.key!r} is not in [discovery.keys]")
        table["api_key"] = msgspec.to_builtins(secret)
    settings = checked(table, where)
    if addresses.socket_of(settings.url) is not None:
        raise ConfigurationError(where=where, problem="an endpoint that appears may not use a unix socket")
    return settings


def laid_over(name: str, definition: EndpointDefined, beneath: EndpointSettings | None) -> EndpointSettings:
    """Return the endpoint of *definition* on top of its base *beneath*, if any.

    If the URL changes to another host or port, the credentials of the base are dropped, because they belong to the
    first one. Raises ConfigurationError for an invalid key or value, and for a secret that is not a reference.
    """
    table = {} if beneath is None else written(beneath)
    if beneath is not None:
        left = left_behind(definition, beneath)
        table = {key: value for key, value in table.items() if key not in left}
    return checked(table | definition.settings, f"endpoints.{name}")


def left_behind(definition: EndpointDefined, beneath: EndpointSettings) -> tuple[str, ...]:
    """Return the keys of credentials in *beneath* that may not go to the URL of *definition*, and are not replaced."""
    if not addresses.leads_elsewhere(definition.settings.get("url"), beneath.url):
        return ()
    return tuple(sorted((CREDENTIALS & written(beneath).keys()) - definition.settings.keys()))


def _all_left_behind(
    definition: EndpointDefined, beneath: _Beneath | None, in_force: EndpointSettings
) -> tuple[str, ...]:
    """Return the credentials that the endpoint had before its URL changed, and that it lacks *in_force*.

    These are the base's, and those set at run time. If the URL changes back, the base's credentials are used again.
    """
    of_it = left_behind(definition, beneath.settings) if beneath else ()
    return tuple(sorted({*of_it, *definition.left_behind} - written(in_force).keys()))


def written(endpoint: EndpointSettings) -> dict[str, Any]:
    """Return the table of *endpoint* as in a file: values that differ from defaults, secrets by reference."""
    whole: dict[str, Any] = {}
    for field in msgspec.structs.fields(endpoint):
        value = getattr(endpoint, field.name)
        if field.required or value != _default(field):
            whole[field.name] = _without_none(msgspec.to_builtins(value))
    return whole


def _default(field: msgspec.structs.FieldInfo) -> Any:
    return field.default_factory() if field.default_factory is not msgspec.NODEFAULT else field.default


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return value


def checked(table: Mapping[str, Any], where: str) -> EndpointSettings:
    """Return the endpoint in *table*, for a definition at run time.

    Raises ConfigurationError for an invalid key or value, and for a secret that is not a reference.
    """
    try:
        settings = endpoint_of(table, where=where)
    except RecursionError as error:
        raise ConfigurationError(where=where, problem="is nested too deeply") from error
    for header, value in settings.headers.items():
        if not isinstance(value, Secret) and _CREDENTIAL.search(header):
            problem = (
                f'headers.{header} holds a secret as it is; use {{ env = "NAME" }} or {{ file = "/path" }}'
            )
            raise ConfigurationError(where=where, problem=problem)
    return settings


def _key(error: ConfigurationError) -> str:
    """Return the key that *error* is about, with a colon, or an empty text."""
    key = str(error.where).rpartition(".")[2] if str(error.where).count(".") > 1 else ""
    return f"{key}: " if key else ""


def _called(source: str) -> str:
    return {"file": "the configuration file", "operator": "an operator"}.get(source, source)
