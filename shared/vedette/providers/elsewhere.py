"""Reads an endpoint's load from another place: another page of metrics, or the operator's Prometheus.

One query to Prometheus returns all figures:
https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote

import msgspec

from vedette.clock import Clock
from vedette.errors import ProviderError
from vedette.providers import Access, Activity, Metered, _metrics
from vedette.providers._http import Http
from vedette.providers._lenient import decimal, is_name, mapping, number, sequence
from vedette.providers._metrics import Metrics
from vedette.types import Outcome

_FIGURE: Final = "vedette_figure"
_PROMETHEUS: Final = Metrics(
    product="prometheus",
    running=("running",),
    waiting=("waiting",),
    slots=("slots",),
    cache_use=("cache_use",),
    output_tps=("output_tps",),
)
FIGURES: Final = _PROMETHEUS.names


class MetricsPage:
    """A page of metrics under a URL of its own, of any server in `_metrics.ALL`."""

    def __init__(self, http: Http, page: str) -> None:
        self._http = http
        self._page = page

    async def load(self, server: str | None) -> Activity | None:
        """Return the load on the page, or None if it has no known metrics. Raises ProviderError."""
        text = await self._http.text(self._page, most_bytes=_metrics.MAX_BYTES)
        return _metrics.activity(_metrics.samples(text, (name for one in _metrics.ALL for name in one.names)))


class Prometheus:
    """The load by Prometheus, with one configured query for each figure."""

    def __init__(self, http: Http, queries: Mapping[str, str]) -> None:
        self._http = http
        self._path = f"api/v1/query?query={quote(combined(queries), safe='')}"

    async def load(self, server: str | None) -> Activity | None:
        """Return the load by the queries. Raises ProviderError (GARBAGE) if the reply is not from Prometheus."""
        body = mapping(await self._http.get(self._path))
        if body.get("status") != "success":
            raise ProviderError(Outcome.GARBAGE, "the reply is not from Prometheus")
        return _metrics.activity(vector(body), (_PROMETHEUS,))


def combined(queries: Mapping[str, str]) -> str:
    """Return one query for all *queries*. In its result, a label names the figure."""
    return " or ".join(
        f'label_replace({query}, "{_FIGURE}", "{figure}", "", "")'
        for figure, query in sorted(queries.items())
    )


def vector(body: Mapping[str, Any]) -> _metrics.Samples:
    """Return the samples of an instant vector by figure. Samples with a wrong shape are skipped."""
    found: dict[str, list[tuple[str, float]]] = {}
    for one in map(mapping, sequence(mapping(body.get("data")).get("result"))[: _metrics.MAX_SAMPLES]):
        labels, sample = mapping(one.get("metric")), sequence(one.get("value"))
        figure, value = labels.get(_FIGURE), sample[1] if len(sample) == 2 else None
        counted = number(decimal(value)) if isinstance(value, str) else None
        if figure in FIGURES and counted is not None:
            model = labels.get("model_name") or labels.get("model")
            found.setdefault(figure, []).append((str(model) if is_name(model) else "", counted))
    return found


@asynccontextmanager
async def metrics_page(access: Access, *, clock: Clock) -> AsyncIterator[Metered]:
    """Open the page of metrics at the URL of *access*; /metrics if the URL has no path."""
    address, mark, query = access.url.partition("?")
    base, _, page = address.rpartition("/")
    if base.endswith("/"):  # a URL without a path: the usual page is /metrics
        base, page = address, "metrics"
    async with Http(msgspec.structs.replace(access, url=f"{base}{mark}{query}"), clock=clock) as http:
        yield MetricsPage(http.brief(), page)


@asynccontextmanager
async def prometheus(access: Access, queries: Mapping[str, str], *, clock: Clock) -> AsyncIterator[Metered]:
    """Open the Prometheus at the URL of *access*. *queries* has one PromQL query for each figure (`FIGURES`)."""
    async with Http(access, clock=clock) as http:
        yield Prometheus(http.brief(), queries)
