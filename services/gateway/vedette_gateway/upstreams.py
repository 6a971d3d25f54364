"""The endpoints of the gateway: the connection to each, its requests in progress, and its recent failures."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from vedette import providers
from vedette.errors import ConfigurationError
from vedette.providers import Access
from vedette.providers.access import access
from vedette.providers.addresses import http_url
from vedette.providers.passing import Passing
from vedette.settings import Settings
from vedette.types import ModelRef, Outcome

# How long a model, or its endpoint, is tried last after a failed call: the first time, and at most.
_ASIDE_S: Final = (2.0, 60.0)
_MAX_MODELS_ASIDE: Final = 1000  # callers may name models that do not exist
# Faults of a request or its caller: they do not count against the model.
_REQUESTS_OWN: Final = frozenset(
    {Outcome.BAD_REQUEST, Outcome.UNSUPPORTED, Outcome.TOO_LARGE, Outcome.FORBIDDEN}
)
# Outcomes that affect every model of an endpoint.
_OF_THE_ENDPOINT: Final = frozenset(
    {Outcome.REFUSED, Outcome.RESET, Outcome.UNREACHABLE, Outcome.AUTH_FAILED, Outcome.NO_CREDIT}
)


class Upstream:
    """One endpoint: the connection to it, and its requests in progress."""

    def __init__(self, way: Access, at_once: int, base_url: str | None) -> None:
        self.passing = Passing(way)
        self.base_url = base_url  # for OpenAI clients
        self._way = way
        self._origin = _origin(http_url(way.url))
        self._at_once = at_once
        self._running = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._idle = asyncio.Event()
        self._idle.set()

    def is_like(self, way: Access, at_once: int, base_url: str | None) -> bool:
        """Return whether these arguments would make the same upstream."""
        return (self._way, self._at_once, self.base_url) == (way, at_once, base_url)

    @property
    def running(self) -> int:
        """How many requests are in progress there."""
        return self._running

    @property
    def has_room(self) -> bool:
        """Whether one more request may go there now."""
        return self._running < self._at_once

    def reaches(self, url: str) -> bool:
        """Return whether *url* is at this endpoint. Credentials go only there, even if a message has another URL."""
        return _origin(url) == self._origin

    async def room(self, within_s: float) -> bool:
        """Wait for a free slot, at most *within_s* seconds; return whether there is one."""
        ends = asyncio.get_running_loop().time() + within_s
        while not self.has_room:
            freed = asyncio.get_running_loop().create_future()
            self._waiting.append(freed)
            try:
                async with asyncio.timeout_at(ends):
                    await freed
            except TimeoutError:
                return self.has_room
            finally:
                if freed in self._waiting:
                    self._waiting.remove(freed)
        return True

    @asynccontextmanager
    async def one_more(self) -> AsyncIterator[None]:
        """Count a request as in progress while the context is open."""
        self._running += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._running -= 1
            if not self._running:
                self._idle.set()
            if self._waiting and self.has_room:
                freed = self._waiting.pop(0)
                if not freed.done():
                    freed.set_result(None)

    async def close(self) -> None:
        """Close its connections."""
        await self.passing.close()

    async def close_when_idle(self) -> None:
        """Close its connections when the last request has ended."""
        try:
            await self._idle.wait()
        finally:
            await self.close()


@lru_cache(maxsize=1024)
def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


class Upstreams:
    """All upstreams, by the name of the endpoint. `reload` opens and closes the changed ones."""

    def __init__(self) -> None:
        self._open: dict[str, Upstream] = {}
        self._unusable: dict[str, str] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def get(self, endpoint: str) -> Upstream | None:
        """Return the endpoint, or None where this gateway does not know it."""
        return self._open.get(endpoint)

    def base_url(self, endpoint: str) -> str | None:
        """Return the base URL for OpenAI clients, or None if they cannot call the endpoint or it is unknown."""
        upstream = self._open.get(endpoint)
        return upstream.base_url if upstream else None

    async def note(self) -> str | None:
        """Return which endpoints cannot be used here, and why, or None."""
        return "; ".join(f"{name} is not used: {why}" for name, why in self._unusable.items()) or None

    def reload(self, settings: Settings) -> None:
        """Open and close upstreams to match *settings*. Requests in progress continue.

        If a secret of an endpoint in the configuration file cannot be read, it raises ConfigurationError and changes
        nothing. An endpoint from elsewhere is then not used.
        """
        at_once = settings.gateway.at_once
        ways: dict[str, tuple[Access, int, str | None]] = {}
        unusable: dict[str, str] = {}
        for name, one in settings.endpoints.items():
            try:
                way = access(name, one, settings.outbound)
                ways[name] = (way, at_once, providers.base_url(one.provider, one.url))
            except ConfigurationError as error:
                if name not in settings.defined.origins:
                    raise
                unusable[name] = str(error)
        self._unusable = unusable
        before = self._open
        self._open = {
            name: held if (held := before.get(name)) and held.is_like(*way) else Upstream(*way)
            for name, way in ways.items()
        }
        for name, held in before.items():
            if self._open.get(name) is not held:
                task = asyncio.create_task(held.close_when_idle())
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close every connection."""
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
        for upstream in self._open.values():
            await upstream.close()
        self._open = {}


class _Until(NamedTuple):
    """Until when a model or endpoint is tried last (monotonic seconds), and the length of that time."""

    at: float = 0.0
    for_s: float = 0.0


class Aside:
    """Models and endpoints that failed a moment ago: for some time, they are tried after all others."""

    def __init__(self, *, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._endpoints: dict[str, _Until] = {}
        self._models: OrderedDict[ModelRef, _Until] = OrderedDict()

    def failed(self, model: ModelRef, outcome: Outcome, retry_after_s: float | None = None) -> None:
        """Set *model* aside after a failed call, or its endpoint if *outcome* affects all models there."""
        if outcome in _REQUESTS_OWN:
            return
        if outcome in _OF_THE_ENDPOINT:
            self._endpoints[model.endpoint] = self._until(self._endpoints.get(model.endpoint), retry_after_s)
            return
        self._models[model] = self._until(self._models.get(model), retry_after_s)
        self._models.move_to_end(model)
        if len(self._models) > _MAX_MODELS_ASIDE:
            self._models.popitem(last=False)

    def succeeded(self, model: ModelRef) -> None:
        """Forget earlier failures of *model* and of its endpoint."""
        self._endpoints.pop(model.endpoint, None)
        self._models.pop(model, None)

    def is_aside(self, model: ModelRef) -> bool:
        """Return whether *model* is tried after the others now."""
        never = _Until()
        until = max(self._endpoints.get(model.endpoint, never).at, self._models.get(model, never).at)
        return until > self._now()

    def _until(self, before: _Until | None, retry_after_s: float | None) -> _Until:
        first_s, longest_s = _ASIDE_S
        for_s = max(first_s, 2 * before.for_s if before else 0.0) if retry_after_s is None else retry_after_s
        for_s = min(for_s, longest_s)
        return _Until(self._now() + for_s, for_s)


def is_of_the_request(outcome: Outcome) -> bool:
    """Return whether *outcome* is a fault of the request. Another server may still accept it."""
    return outcome in _REQUESTS_OWN
