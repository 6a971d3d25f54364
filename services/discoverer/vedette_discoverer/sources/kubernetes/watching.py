"""Lists and watches the kinds of a cluster. While its API is away, the last known objects stay.

Each kind of each namespace is listed, then watched for some minutes, then listed again, because a watch on a dead
connection reports nothing, and a watch that began too long ago is refused (410). After any failure, this starts again.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec
from lightkube import ApiError, AsyncClient
from lightkube.config.kubeconfig import SERVICE_ACCOUNT, KubeConfig, SingleConfig
from lightkube.core.exceptions import ConfigError
from lightkube.generic_resource import GenericNamespacedResource, create_api_info
from msgspec import Struct

from vedette.settings.sources import Kubernetes
from vedette_discoverer.sources.kubernetes.kinds import KINDS, Kind
from vedette_discoverer.sources.kubernetes.reading import Rules, read
from vedette_discoverer.sources.kubernetes.world import World, name_of
from vedette_discoverer.sources.shapes import at
from vedette_discoverer.sources.view import View, together

RELIST_S: Final = 180.0
_FIRST_WAIT_S, _MAX_WAIT_S = 1.0, 60.0
_ABSENT_WAIT_S: Final = 120.0
_TIMEOUT_S: Final = 10.0
_CHUNK: Final = 500
_NOT_FOUND: Final = 404
_MANY: Final = 6  # with the waits in between, a minute
# Errors of replies that are not from Kubernetes: a proxy in between may send anything.
_FAILURES: Final = (
    httpx2.HTTPError,
    httpx2.InvalidURL,
    msgspec.MsgspecError,
    OSError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
_MAX_OBJECTS: Final = 20_000  # of one kind in one namespace


class Scope(Struct, frozen=True, kw_only=True):
    """The objects of one kind in one namespace."""

    kind: Kind
    namespace: str

    @property
    def origin(self) -> str:
        """The prefix of its endpoints' origins."""
        return f"{self.kind.name} {self.namespace}/"


class _Known:
    """The state of one scope: its objects, and why they cannot be read now."""

    def __init__(self) -> None:
        self.objects: dict[str, Mapping[str, Any]] = {}
        self.tried = False  # whether a first reply has come, even a refusal
        self.listed = False  # whether it has been listed once
        self.problem: str | None = None
        self.not_found = 0  # how often in a row the API did not know the kind
        self.absent = False  # the cluster has no such kind


class Watching:
    """The objects in the namespaces of a cluster, current while `open` is."""

    name = "kubernetes"
    every_s = 1.0

    def __init__(
        self,
        settings: Kubernetes,
        *,
        providers: Collection[str],
        service_account: Path = Path(SERVICE_ACCOUNT),
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
        relist_s: float = RELIST_S,
    ) -> None:
        self._settings = settings
        self._rules = Rules(settings=settings, providers=providers)
        self._service_account = service_account
        self._wait = wait
        self._relist_s = relist_s
        self._known: dict[Scope, _Known] = {}
        self._problem: str | None = ""  # not listed yet
        self._version = 0
        self._read: tuple[int, View] | None = None
        self._running: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Watch while the context is open."""
        self._running = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def view(self) -> View:
        """Return the current view: the same object until something changes. Raises the error that ended the watch."""
        if self._running is not None and self._running.done():
            self._running.result()
        if self._problem is not None:
            return View(unseen={"": self._problem})
        if self._read is None or self._read[0] != self._version:
            self._read = self._version, self._view()
        return self._read[1]

    def _view(self) -> View:
        namespaces = dict.fromkeys(scope.namespace for scope in self._known)
        return together(self._view_of(namespace) for namespace in namespaces)

    def _view_of(self, namespace: str) -> View:
        scopes = {scope: known for scope, known in self._known.items() if scope.namespace == namespace}
        if not all(known.tried for known in scopes.values()):
            return View(unseen=dict.fromkeys((scope.origin for scope in scopes), ""))
        blind = next(
            (known for scope, known in scopes.items() if scope.kind.required and not known.listed), None
        )
        if blind is not None:  # without Services and their EndpointSlices it is not known what is asleep
            return View(unseen=dict.fromkeys((scope.origin for scope in scopes), blind.problem or ""))
        view = read(
            World(
                namespace=namespace,
                objects={scope.kind.name: list(known.objects.values()) for scope, known in scopes.items()},
            ),
            self._rules,
        )
        # A kind that was listed before keeps its last objects. A kind that was never listed is unseen.
        unseen = {
            scope.origin: known.problem or ""
            for scope, known in scopes.items()
            if known.problem is not None and not known.listed
        }
        stale = tuple(
            f"{scope.origin.strip(' /')} as last seen: {known.problem}"
            for scope, known in scopes.items()
            if known.problem and known.listed
        )
        return msgspec.structs.replace(view, unseen=unseen, notes=(*view.notes, *stale))

    async def _run(self) -> None:
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                config = configuration(self._settings, self._service_account)
                namespaces = self._settings.namespaces or (config.namespace or "default",)
                # One client for each namespace: a client limits the connections of all its watches.
                clients = {namespace: _client(config) for namespace in namespaces}
                break
            except (ConfigError, OSError, KeyError, ValueError) as error:
                self._problem = f"no access to a cluster: {type(error).__name__}: {error}"
                await self._wait(wait_s)
                wait_s = min(2 * wait_s, _MAX_WAIT_S)
        self._known = {
            Scope(kind=kind, namespace=namespace): _Known() for namespace in namespaces for kind in KINDS
        }
        self._problem = None
        self._version += 1
        try:
            async with asyncio.TaskGroup() as group:
                for scope, known in self._known.items():
                    group.create_task(self._keep(clients[scope.namespace], scope, known))
        finally:
            await asyncio.gather(*(client.close() for client in clients.values()))

    async def _keep(self, client: AsyncClient, scope: Scope, known: _Known) -> None:
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                await self._follow(client, scope, known)
                wait_s = _FIRST_WAIT_S
                continue
            except ApiError as error:
                status, problem = error.status.code or 0, error.status.message or str(error)
            except httpx2.HTTPStatusError as error:
                status, problem = error.response.status_code, f"HTTP {error.response.status_code}"
            except _FAILURES as error:
                status, problem = 0, f"{type(error).__name__}: {error}"
            self._failed(scope, known, status, problem)
            pause_s = _ABSENT_WAIT_S if known.absent else wait_s
            await self._wait(pause_s * (0.75 + random.random() / 2))  # noqa: S311 - a jitter
            wait_s = min(2 * wait_s, _MAX_WAIT_S)

    def _failed(self, scope: Scope, known: _Known, status: int, problem: str) -> None:
        # An API that has just started does not know its kinds yet, and refuses what its rules allow.
        known.not_found = known.not_found + 1 if status == _NOT_FOUND else 0
        if known.not_found and not scope.kind.required:
            problem = ""  # most clusters lack most kinds
        absent = known.not_found > _MANY and not scope.kind.required
        if absent:
            known.objects, known.listed = {}, True
        now = None if absent else problem
        if (known.tried, known.absent, known.problem) != (True, absent, now):
            self._version += 1
        known.tried, known.absent, known.problem = True, absent, now

    async def _follow(self, client: AsyncClient, scope: Scope, known: _Known) -> None:
        """List and watch, until it is time to list again or the watch ends. Raises the errors of the list."""
        resource, version = await self._list(client, scope, known)
        try:
            async with asyncio.timeout(self._relist_s):
                changes: Any = client.watch(
                    resource,
                    namespace=scope.namespace,
                    resource_version=version,
                    server_timeout=int(self._relist_s) + 1,
                )
                async with aclosing(changes):
                    async for event, thing in changes:
                        self._take(known, event, thing)
        except TimeoutError:
            return
        except (
            _FAILURES
        ):  # it expired (410), or its connection broke: the next list shows what is wrong, if anything
            await self._wait(_FIRST_WAIT_S * random.random())  # noqa: S311 - a jitter

    async def _list(self, client: AsyncClient, scope: Scope, known: _Known) -> tuple[Any, str | None]:
        """List the scope in the newest version that the cluster has; return its resource and where a watch begins."""
        for place, (group, version) in enumerate(scope.kind.groups):
            resource = _resource(scope.kind, group, version)
            listing = client.list(resource, namespace=scope.namespace, chunk_size=_CHUNK)
            objects: dict[str, Mapping[str, Any]] = {}
            try:
                async for thing in listing:
                    objects[name_of(thing)] = _trimmed(thing)
                    if len(objects) > _MAX_OBJECTS:
                        raise OSError(f"more than {_MAX_OBJECTS:,} objects")
            except httpx2.HTTPStatusError as error:
                if _status(error) == _NOT_FOUND and place + 1 < len(scope.kind.groups):
                    continue
                raise
            if (known.objects, known.problem, known.tried, known.listed) != (objects, None, True, True):
                self._version += 1
            known.objects, known.problem, known.absent = objects, None, False
            known.tried = known.listed = True
            known.not_found = 0
            return resource, listing.resourceVersion
        raise AssertionError("every kind has a version")

    def _take(self, known: _Known, event: str, thing: Mapping[str, Any]) -> None:
        name = name_of(thing)
        if event == "DELETED":
            known.objects.pop(name, None)
        elif event in ("ADDED", "MODIFIED"):
            known.objects[name] = _trimmed(thing)
        self._version += 1


def _status(error: httpx2.HTTPStatusError) -> int:
    return (error.status.code or 0) if isinstance(error, ApiError) else error.response.status_code


def _client(config: SingleConfig) -> AsyncClient:
    return AsyncClient(config, timeout=httpx2.Timeout(_TIMEOUT_S), trust_env=False)


def _resource(kind: Kind, group: str, version: str) -> Any:
    """Return a resource whose objects are plain mappings, even for kinds that lightkube has models for."""
    information = create_api_info(group, version, kind.name, kind.plural)
    return type(kind.name, (GenericNamespacedResource,), {"_api_info": information})


def _trimmed(thing: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object without long parts that nothing reads: managed fields, and the annotations of kubectl."""
    metadata = {
        key: value
        for key, value in (at(thing, "metadata") or {}).items()
        if key in ("name", "labels", "annotations", "ownerReferences")
    }
    annotations = metadata.get("annotations")
    if isinstance(annotations, Mapping):
        metadata["annotations"] = {
            key: value for key, value in annotations.items() if not key.startswith("kubectl.kubernetes.io/")
        }
    return {**thing, "metadata": metadata}


def configuration(settings: Kubernetes, service_account: Path = Path(SERVICE_ACCOUNT)) -> SingleConfig:
    """Return how to reach the cluster: by a kubeconfig, else by the pod's service account.

    Raises ConfigError, OSError, KeyError, ValueError.
    """
    found = (
        KubeConfig.from_file(settings.kubeconfig)
        if settings.kubeconfig
        else KubeConfig.from_service_account(service_account)
    ).get()
    if found is None:
        raise ConfigError("the kubeconfig has no current context")
    return found
