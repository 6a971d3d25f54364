"""Finds all problems of a configuration: errors that `vedette up` would refuse, and warnings.

This contacts no server.
"""

import ssl
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from vedette import providers
from vedette.bus.connection import tls, without_secrets
from vedette.clock import SystemClock
from vedette.errors import ConfigurationError
from vedette.providers.access import access
from vedette.settings import EndpointSettings, Secret, Settings, examine, read

# Checks of settings by services: the entry-point group `vedette.checks`.
Check = Callable[[Settings], Iterable[ConfigurationError]]


class Problem(Struct, frozen=True, kw_only=True):
    """An error or a warning, with its place in the configuration."""

    where: str
    problem: str
    severity: Literal["error", "warning"] = "error"


async def check(path: str | None) -> tuple[Settings, list[Problem]]:
    """Return the readable parts of the configuration *path*, and all its problems."""
    try:
        document, where = read(path)
    except ConfigurationError as error:
        return Settings(), [_problem(error)]
    settings, wrong = examine(document, where=where)
    problems = [_problem(error) for error in wrong]
    known = {one.where.partition(": ")[2] for one in problems}
    for name, endpoint in settings.endpoints.items():
        problems += [_problem(unset, where) for unset in _secrets(name, endpoint)]
        if not any(key.startswith(f"endpoints.{name}.url") for key in known):
            problems += [
                _problem(error, where)
                async for error in _opened(name, endpoint, settings)
                if not any(key.startswith(str(error.where)) for key in known)
            ]
    problems += [_problem(error, where) for error in _nats(settings)]
    for point in entry_points(group="vedette.checks"):
        found: Check = point.load()
        problems += [_problem(error, where) for error in found(settings)]
    problems += _twice(settings, where)
    return settings, list(dict.fromkeys(problems))


def _problem(error: ConfigurationError, file: str | None = None) -> Problem:
    where = str(error.where)
    return Problem(where=f"{file}: {where}" if file else where, problem=error.problem)


def _secrets(name: str, endpoint: EndpointSettings) -> Iterator[ConfigurationError]:
    """Yield each secret of an endpoint that cannot be read."""
    named: dict[str, object] = {
        "api_key": endpoint.api_key,
        "basic.password": endpoint.basic.password if endpoint.basic else None,
        **{f"headers.{header}": value for header, value in endpoint.headers.items()},
    }
    for key, secret in named.items():
        yield from _unreadable(secret, f"endpoints.{name}.{key}")


def _unreadable(secret: object, where: str) -> Iterator[ConfigurationError]:
    if isinstance(secret, Secret) and (secret.env is None) != (secret.file is None):
        try:
            secret.read(where)
        except ConfigurationError as error:
            yield error


async def _opened(
    name: str, endpoint: EndpointSettings, settings: Settings
) -> AsyncIterator[ConfigurationError]:
    """Yield why an endpoint cannot be opened: an error of its provider, flavour, certificates or headers."""
    try:
        provider = providers.load(endpoint.provider)
    except ConfigurationError as error:
        problem = f"{endpoint.provider!r} is {error.problem}"
        yield ConfigurationError(where=f"endpoints.{name}.provider", problem=problem)
        return
    if endpoint.ca_file is not None:
        try:
            ssl.create_default_context(cafile=endpoint.ca_file)
        except (OSError, ssl.SSLError) as error:
            where = f"endpoints.{name}.ca_file"
            yield ConfigurationError(where=where, problem=f"{endpoint.ca_file}: {error}")
            return
    try:
        way = access(name, endpoint, settings.outbound)
    except ConfigurationError as error:
        yield error  # the same secret was reported by `_secrets`
        return
    try:
        async with provider.open(way, clock=SystemClock()):
            pass
    except ConfigurationError as error:
        yield error


def _nats(settings: Settings) -> Iterator[ConfigurationError]:
    nats = settings.nats
    for url in map(str.strip, nats.url.split(",")) if nats.url else ():
        try:
            bare = without_secrets(url)
            parts = urlsplit(bare if "://" in bare else f"nats://{bare}")
            usable = bool(parts.hostname) and parts.port != 0 and not any(c.isspace() for c in url)
        except ValueError:
            usable = False
        if not usable:
            problem = (
                f"{without_secrets(url)!r} is not a URL of a NATS server; example: nats://127.0.0.1:4222"
            )
            yield ConfigurationError(where="nats.url", problem=problem)
    yield from _unreadable(nats.user, "nats.user")
    yield from _unreadable(nats.password, "nats.password")
    try:
        tls(nats)
    except ConfigurationError as error:
        yield error
    if nats.credentials is not None and not Path(nats.credentials).is_file():
        yield ConfigurationError(where="nats.credentials", problem=f"{nats.credentials} is not a file")


def _twice(settings: Settings, where: str) -> Iterator[Problem]:
    """Yield endpoints with the same URL: Vedette measures their models once for each endpoint."""
    at: dict[str, list[str]] = defaultdict(list)
    for name, endpoint in settings.endpoints.items():
        at[endpoint.url.rstrip("/").removesuffix("/v1").lower()].append(name)
    for names in at.values():
        for name in names[1:]:
            yield Problem(
                where=f"{where}: endpoints.{name}.url",
                problem=f"is that of endpoint {names[0]}; each model there is measured twice",
                severity="warning",
            )
