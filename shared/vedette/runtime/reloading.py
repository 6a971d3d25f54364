"""Applies a changed configuration while the process runs. The file is watched; SIGHUP reads it at once.

Definitions of endpoints (`vedette.runtime.defining`) are applied to the file's endpoints, and then to services.

A refused configuration changes nothing: the earlier one stays in force. The log, `/readyz`, a metric and `vedette
doctor` say why.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import msgspec
import nats.errors
from msgspec import Struct

from vedette import log
from vedette.errors import VedetteError
from vedette.runtime import telemetry
from vedette.settings import EndpointSettings, Origin, Secret, Settings, Source
from vedette.text.shown import shown

# Sections that services apply while they run. Changes of other sections need a restart.
RELOADED = (
    "endpoints",
    "defined",
    "schedule",
    "outbound",
    "recommend",
    "quality",
    "gateway",
    "webhooks",
    "discovery",
)
# Keys of these sections that need a restart.
_NOT_RELOADED: Mapping[str, Sequence[str]] = {"gateway": ("enabled", "host", "port", "closing_s")}
_LOOK_EVERY_S = 1.0


class Reloadable(Protocol):
    """A running component that can apply new settings."""

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        ...

    async def reload(self, settings: Settings) -> None:
        """Apply *settings*. Raises VedetteError; then the earlier settings stay in force."""
        ...


def merge(current: Settings, new: Settings) -> Settings:
    """Return *current* with the reloadable parts of *new*."""
    return msgspec.structs.replace(current, **{name: _merged(name, current, new) for name in RELOADED})


def _merged(name: str, current: Settings, new: Settings) -> Any:
    """Return the section *name* of *new*; keys that need a restart stay as in *current*."""
    section = getattr(new, name)
    kept = {key: getattr(getattr(current, name), key) for key in _NOT_RELOADED.get(name, ())}
    return msgspec.structs.replace(section, **kept) if kept else section


def changes(old: Settings, new: Settings) -> list[str]:
    """Return the reloadable differences, as one phrase each."""
    said: list[str] = []
    before, after = old.endpoints, new.endpoints
    renamed = dict(_renamed(before, after))
    said += [f"endpoint {name} renamed {to}" for name, to in renamed.items()]
    said += [
        f"endpoint {name} added" for name in after if name not in before and name not in renamed.values()
    ]
    said += [f"endpoint {name} removed" for name in before if name not in after and name not in renamed]
    said += [f"endpoint {name} changed" for name in after if name in before and after[name] != before[name]]
    said += _paused(old, new)
    for name in RELOADED:
        if name not in ("endpoints", "defined"):
            said += _differences(name, getattr(old, name), getattr(new, name))
    return said


def _paused(old: Settings, new: Settings) -> Iterator[str]:
    """Yield the endpoints that are not contacted any more, with the reason, and those that are contacted again."""
    for name in new.endpoints:
        before, after = (settings.defined.origins.get(name, Origin()) for settings in (old, new))
        if after.closed != before.closed:
            yield f"endpoint {name} {after.closed or ('resumed' if before.paused else 'awake')}"


def _renamed(
    before: Mapping[str, EndpointSettings], after: Mapping[str, EndpointSettings]
) -> Iterator[tuple[str, str]]:
    """Yield (old name, new name) of endpoints with the same URL. Two names for one server are not a rename."""
    for name in before:
        new = [to for to in after if to not in before and after[to].url == before[name].url]
        gone = [was for was in before if was not in after and before[was].url == before[name].url]
        if len(new) == 1 and gone == [name]:
            yield name, new[0]


def restarts(running: Settings, new: Settings) -> list[str]:
    """Return the keys of *new* that differ from the settings of the start, and need a restart."""
    fields = {
        name: _NOT_RELOADED.get(name, ()) if name in RELOADED else getattr(new, name).__struct_fields__
        for name in Settings.sections()
    }
    return [
        f"{section}.{field}"
        for section, names in fields.items()
        for field in names
        if getattr(getattr(running, section), field) != getattr(getattr(new, section), field)
    ]


def _differences(name: str, old: Any, new: Any) -> list[str]:
    if old == new:
        return []
    if not isinstance(new, Struct):
        return [f"{name} changed"]
    pairs = [(field, getattr(old, field), getattr(new, field)) for field in new.__struct_fields__]
    plain = (str, int, float)
    return [
        f"{name}.{field} {before} -> {after}"
        if isinstance(before, plain) and isinstance(after, plain)
        else f"{name}.{field} changed"
        for field, before, after in pairs
        if before != after
    ]


class Overlay(Protocol):
    """Settings that override the file."""

    def is_new(self) -> bool:
        """Return whether `overlay` may return something else than last time."""
        ...

    def overlay(self, file: Settings) -> Settings:
        """Return *file* with the endpoints in force now."""
        ...


class Reloading:
    """Applies a changed configuration of *source* to *services*. `reload` may be called from any task.

    *started* are the settings of the services, with the definitions of *over* applied to the file.
    """

    def __init__(
        self,
        source: Source,
        services: Sequence[Reloadable],
        say: Callable[[str], None],
        *,
        started: Settings | None = None,
        over: Overlay | None = None,
        look_every_s: float = _LOOK_EVERY_S,
    ) -> None:
        self._source = source
        self._look_every_s = look_every_s
        self._file = source.started
        self._current = started or source.started
        self._over = over
        self._taking = asyncio.Lock()
        self._untaken: str | None = None  # why the last definitions were not applied
        self._services = services
        self._say = say
        self._log = log.logger("configuration")
        self._trouble: str | None = None
        self._waiting: list[str] = []
        telemetry.CONFIGURATION_IN_FORCE.set(1)

    @property
    def current(self) -> Settings:
        """The configuration in force."""
        return self._current

    async def note(self) -> str | None:
        """Return a note for the operator about the configuration, or None."""
        if self._trouble:
            return f"refused, the configuration before it stays in force: {self._trouble}"
        return f"needs a restart: {', '.join(self._waiting)}" if self._waiting else None

    async def note_of_endpoints(self) -> str | None:
        """Return a note for the operator about endpoints that were changed at run time, or None."""
        if self._untaken:
            return f"endpoints changed at run time are not in force yet: {self._untaken}"
        wrong = [
            f"{one.endpoint} of {one.source}: {one.why}"
            for one in self._current.defined.left_out
            if one.wrong
        ]
        return f"left out: {'; '.join(wrong)}" if wrong else None

    async def run(self, hung_up: asyncio.Event) -> None:
        """Watch the file until cancelled. When *hung_up* is set, read the file at once."""
        # The file may have changed since the start, so it is read once in any case.
        taken: str | None = None
        seen: str | None = None
        while True:
            asked = await _was_set(hung_up, self._look_every_s)
            now = await asyncio.to_thread(self._fingerprint)
            # A file that is being written differs between two checks.
            if asked or (now != taken and now == seen):
                taken = now if await self.reload(asked=asked) else None
            seen = now
            await self.redefine()

    def _fingerprint(self) -> str:
        """Return a digest of the file and of the files with its secrets; symbolic links are followed."""
        whole = hashlib.sha256()
        for path in (self._source.file, *map(Path, _secret_files(self._current))):
            try:
                whole.update(path.read_bytes())
            except OSError as error:
                whole.update(f"\0{error.errno}".encode())
        return whole.hexdigest()

    async def reload(self, *, asked: bool = True) -> bool:
        """Read the configuration and apply it; refuse it completely if any part of it cannot be applied.

        The result is logged, unless no operator *asked* and nothing is new. Returns False if NATS was away: then retry.
        """
        async with self._taking:
            return await self._reload(asked=asked)

    async def redefine(self) -> None:
        """Apply new definitions, and the end of a pause; each call retries what failed before."""
        async with self._taking:
            if self._over is not None and (self._over.is_new() or self._untaken):
                await self._redefine(self._over)

    async def _redefine(self, over: Overlay) -> None:
        new = over.overlay(self._file)
        try:
            await self._take_on(new)
        except Exception as error:  # noqa: BLE001 - what is wrong with a definition must not end what runs
            problem = f"{type(error).__name__}: {error}"
            if problem != self._untaken:
                self._log.warning("definitions.deferred", error=problem)
            self._untaken = problem
            return
        done = changes(self._current, merge(self._current, new))
        self._log_left_out(new)
        self._current, self._untaken = new, None
        if done:
            telemetry.RELOADS.labels("redefined").inc()
            self._log.info("definitions.taken_on", changes=done)
            self._say(f"endpoints {'; '.join(done)}")

    def _log_left_out(self, new: Settings) -> None:
        """Log each definition that cannot be used, once."""
        before = self._current.defined.left_out
        for one in new.defined.left_out:
            if one.wrong and one not in before:
                self._log.warning(
                    "definition.left_out", endpoint=one.endpoint, source=one.source, reason=one.why
                )
                self._say(f"endpoints {one.endpoint} of {one.source} is left out: {shown(one.why)}")

    async def _reload(self, *, asked: bool) -> bool:
        try:
            file = await asyncio.to_thread(self._source.load)
            new = self._over.overlay(file) if self._over else file
            await self._take_on(new)
        except VedetteError as error:
            self._refuse(str(error))
            return True
        except (nats.errors.Error, TimeoutError) as error:
            self._untaken = self._untaken or "NATS was away"
            self._log.warning("configuration.deferred", error=f"{type(error).__name__}: {error}")
            return False
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a file must not end what runs
            self._refuse(f"{type(error).__name__}: {error}")
            return True
        done = changes(self._current, merge(self._current, new))
        waiting = restarts(self._source.started, file)
        before, quiet = self._waiting, not (asked or done or self._trouble or waiting != self._waiting)
        self._log_left_out(new)
        self._file, self._current, self._trouble, self._waiting = file, new, None, waiting
        self._untaken = None
        telemetry.CONFIGURATION_IN_FORCE.set(1)
        if quiet:
            return True
        telemetry.RELOADS.labels("reloaded").inc()
        self._log.info("configuration.reloaded", file=str(self._source.file), changes=done)
        self._say(f"config    reloaded: {'; '.join(done) or 'no change that a running Vedette uses'}")
        if self._waiting and self._waiting != before:
            self._log.warning("configuration.needs_restart", keys=self._waiting)
            self._say(f"config    needs a restart: {', '.join(self._waiting)}")
        return True

    async def _take_on(self, new: Settings) -> None:
        done: list[tuple[Reloadable, Settings]] = []
        try:
            for service in self._services:
                before = service.settings
                await service.reload(merge(before, new))
                done.append((service, before))
        except Exception:
            for service, before in reversed(done):
                await service.reload(before)
            raise

    def _refuse(self, reason: str) -> None:
        self._trouble = reason
        telemetry.CONFIGURATION_IN_FORCE.set(0)
        telemetry.RELOADS.labels("refused").inc()
        self._log.error("configuration.refused", file=str(self._source.file), reason=reason)
        self._say(f"config    refused: {reason}; the configuration before it stays in force")


async def _was_set(hung_up: asyncio.Event, within_s: float) -> bool:
    """Return whether *hung_up* was set within *within_s* (s); clear it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await hung_up.wait()
    was_set = hung_up.is_set()
    hung_up.clear()
    return was_set


def _secret_files(settings: Settings) -> list[str]:
    of_endpoints = [
        secret
        for endpoint in settings.endpoints.values()
        for secret in (
            endpoint.api_key,
            endpoint.basic.password if endpoint.basic else None,
            *endpoint.headers.values(),
        )
    ]
    of_webhooks = [secret for webhook in settings.webhooks for secret in (webhook.url, *webhook.secrets)]
    return [
        secret.file for secret in (*of_endpoints, *of_webhooks) if isinstance(secret, Secret) and secret.file
    ]
