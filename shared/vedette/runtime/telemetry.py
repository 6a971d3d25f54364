"""Health and metrics of a process: /livez, /readyz and /metrics over HTTP."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
from msgspec import Struct
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, make_asgi_app
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route

from vedette.runtime import web
from vedette.settings import Http

# No label has a name that Prometheus or its operator adds: `service`, `endpoint`, `job`, `instance`, `namespace`,
# `pod`, `container`. The scraper's label would replace ours (docs/metrics.md).
EVENTS = Counter(
    "vedette_events_total", "Events handled or published.", ["vedette_service", "event", "outcome"]
)
JOBS = Counter("vedette_jobs_total", "Jobs done, by how they ended.", ["vedette_service", "kind", "outcome"])
JOB_SECONDS = Histogram(
    "vedette_job_seconds",
    "How long jobs took.",
    ["vedette_service", "kind"],
    buckets=(0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 1800),
)
REQUEST_SECONDS = Histogram(
    "vedette_request_seconds",
    "How long replies to queries took here, by outcome.",
    ["subject", "outcome"],
    buckets=(0.0001, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1),
)
REQUESTS_REFUSED = Counter(
    "vedette_requests_refused_total",
    "Requests that got no reply, because their reply subject is not an inbox.",
    ["subject"],
)
CLOCK_OFFSET = Gauge(
    "vedette_clock_offset_seconds",
    "How far the clock of this process is ahead of another: that of NATS, or of the database.",
    ["vedette_service", "of"],
)
WRITES_REFUSED = Gauge(
    "vedette_writes_refused_seconds",
    "For how long NATS has refused to store messages of a service; 0 while it stores them.",
    ["vedette_service"],
)
WRITE_SECONDS = Histogram(
    "vedette_write_seconds",
    "How long NATS took to store messages of a service.",
    ["vedette_service"],
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 1, 5),
)
CONFIGURATION_IN_FORCE = Gauge(
    "vedette_configuration_in_force",
    "1 while the configuration file is in force as it is; 0 while it is refused and the one before it is in force.",
)
CONFIGURATION_IN_FORCE.set(float("nan"))  # no value in a process that follows no file
RELOADS = Counter("vedette_configuration_reloads_total", "Reloads of the configuration.", ["outcome"])

_READY_TIMEOUT_S = 10.0

# A check returns None, or the problem in a few words.
Check = Callable[[], Awaitable[str | None]]


class _Merged(Collector):
    """The metrics of this process and of *others*, each family once.

    Metrics of Python and of the process: ours only.
    """

    def __init__(self, others: Sequence[str]) -> None:
        self._others = others

    def describe(self) -> Iterable[Metric]:
        """Return nothing, because the metrics are known only at collection."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return all families of metrics."""
        families = {family.name: family for family in REGISTRY.collect()}
        for url in self._others:
            for family in _metrics_of(url):
                # The creation time of a counter is parsed as its own family, and is written again with the counter.
                if not family.name.startswith("vedette_") or family.name.endswith("_created"):
                    continue
                if family.name in families:
                    ours = families[family.name].samples
                    have = {_identity(sample) for sample in ours}
                    ours.extend(sample for sample in family.samples if _identity(sample) not in have)
                else:
                    families[family.name] = family
        return families.values()


def _identity(sample: Sample) -> tuple[str, frozenset[tuple[str, str]]]:
    return sample.name, frozenset(sample.labels.items())


def _metrics_of(url: str) -> Iterable[Metric]:
    try:
        with urllib.request.urlopen(f"{url}/metrics/", timeout=_READY_TIMEOUT_S) as reply:  # noqa: S310 - our own
            return list(text_string_to_metric_families(reply.read().decode()))
    except OSError:
        return ()  # its readiness reports the failure


@asynccontextmanager
async def serve(
    settings: Http,
    checks: Mapping[str, Check],
    notes: Mapping[str, Check] | None = None,
    others: Sequence[str] = (),
) -> AsyncIterator[str]:
    """Serve health and metrics; yield the URL. Raises ConfigurationError if the port is taken.

    *notes* return notes for the operator about services that are ready. *others* are the health URLs of processes whose
    metrics are added to ours. The collections may grow while this runs.
    """

    async def replies(by: Mapping[str, Check]) -> dict[str, str]:
        results = await asyncio.gather(*(check() for check in by.values()))
        return {name: said for name, said in zip(by, results, strict=True) if said}

    async def live(_: Request) -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    async def ready(_: Request) -> JSONResponse:
        problems = await replies(checks)
        return JSONResponse(
            {
                "ready": not problems,
                "services": sorted(checks),
                "problems": problems,
                "notes": await replies(notes or {}),
            },
            status_code=503 if problems else 200,
        )

    registry = CollectorRegistry()
    registry.register(_Merged(others))
    metrics = make_asgi_app(registry)
    app = Starlette(routes=[Route("/livez", live), Route("/readyz", ready), Mount("/metrics", metrics)])
    async with web.listening(app, settings.host, settings.port, section="http") as url:
        yield url


class Readiness(Struct, frozen=True):
    """The reply of `/readyz`: by service, the problem that makes it unready, and notes for the operator."""

    problems: dict[str, str]
    notes: dict[str, str] = {}
    services: tuple[str, ...] = ()  # empty if there is no reply


def readiness(url: str) -> Readiness:
    """Return the readiness that the health URL *url* reports."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=_READY_TIMEOUT_S) as reply:  # noqa: S310 - our own
            document = reply.read()
    except urllib.error.HTTPError as error:
        document = error.read()
    except OSError as error:
        return Readiness({"health": f"{url} does not answer ({error})"})
    return msgspec.json.decode(document, type=Readiness)
