"""`[endpoints.NAME]` and `[outbound]`: the model servers, where they may be, and how workers use them."""

import hashlib
from collections.abc import Iterator
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from vedette.providers import addresses
from vedette.settings.section import Problem, Seconds, Secret, Section
from vedette.types import Price


class Basic(Section, frozen=True, kw_only=True):
    """A login by user name and password."""

    user: str
    password: Secret


class Budget(Section, frozen=True, kw_only=True):
    """What Vedette may use by schedule at an endpoint in a day (UTC). An omitted limit means unlimited."""

    requests_per_day: Annotated[int, Meta(ge=0)] | None = None
    tokens_per_day: Annotated[int, Meta(ge=0)] | None = None
    usd_per_day: Annotated[float, Meta(ge=0)] | None = None  # needs a price to count


class Rates(Section, frozen=True, kw_only=True):
    """Prices of a million tokens at an endpoint (USD), and the date since which they hold."""

    input_usd_per_mtok: Annotated[float, Meta(ge=0)]
    output_usd_per_mtok: Annotated[float, Meta(ge=0)]
    as_of: str | None = None

    @property
    def price(self) -> Price:
        """These rates as a `Price`."""
        return Price(
            input_usd_per_mtok=self.input_usd_per_mtok,
            output_usd_per_mtok=self.output_usd_per_mtok,
            source="configuration",
            as_of=self.as_of,
        )


Figure = Literal["running", "waiting", "slots", "cache_use", "output_tps"]


class Load(Section, frozen=True, kw_only=True):
    """How an endpoint's load is read: every `every_s` seconds; 0: never; default: as in `[probing]`.

    It is read from the server itself, or from a page of metrics at the URL `metrics`, or by `queries` from the
    Prometheus at the URL `prometheus`. `api_key` is sent to these two URLs only.
    """

    every_s: Annotated[float, Meta(ge=0)] | None = None
    metrics: str | None = None
    prometheus: str | None = None
    queries: dict[Figure, Annotated[str, Meta(min_length=1, max_length=1000)]] = {}
    api_key: Secret | None = None

    @property
    def url(self) -> str | None:
        """The URL of the other place from which the load is read, or None."""
        return self.metrics or self.prometheus

    def check(self) -> Iterator[Problem]:
        """Yield problems of the URLs, and of queries without a Prometheus."""
        for key in ("metrics", "prometheus"):
            url = getattr(self, key)
            if url is not None and (problem := addresses.wrong_with(url)):
                yield key, problem
        if self.metrics and self.prometheus:
            yield "metrics", "is not used together with prometheus; remove one of the two"
        if self.prometheus and "running" not in self.queries:
            yield "queries", 'need one for "running", the requests that are being worked on'
        if self.queries and not self.prometheus:
            yield "queries", "need the URL of a Prometheus: prometheus"
        if self.api_key and not self.url:
            yield "api_key", "is for metrics or prometheus; the endpoint's own is next to load"


# Keys that are dropped if the URL of an endpoint changes to another host or port: they belong to the first one.
CREDENTIALS: Final = frozenset({"api_key", "basic", "headers"})


class EndpointSettings(Section, frozen=True, kw_only=True):
    """One endpoint. `answer` says when a probe may generate tokens, for example only if the model is `resident`.

    `measure` says whether Vedette generates tokens by schedule; default: only if calls are known to be free.
    """

    provider: str = "ollama"
    url: str
    flavour: str | None = None
    api_key: Secret | None = None
    basic: Basic | None = None
    headers: dict[str, str | Secret] = {}
    ca_file: str | None = None
    verify: bool = True
    host_group: str | None = None
    locality: Literal["local", "remote"] | None = None  # runs on your own machines; None: by its address
    models: tuple[str, ...] = ()  # for a server without a listing
    timeout_s: Seconds = 10.0
    measure: bool | None = None
    answer: Literal["resident", "always", "never"] = "resident"
    benchmark: bool = True
    verify_capabilities: bool = True
    evaluate: bool = True
    budget: Budget = Budget()
    price: Rates | None = None
    exclude: tuple[str, ...] = ()
    load: Load = Load()

    @property
    def group(self) -> str:
        """The host group whose processor this endpoint uses: as configured, else the host of its URL."""
        host = (urlsplit(addresses.http_url(self.url)).hostname or "unknown").rstrip(".")
        return self.host_group or ("localhost" if addresses.is_this_machine(host) else host)

    @property
    def fingerprint(self) -> str:
        """A short digest of all its settings; of secrets, only the references."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]

    def check(self) -> Iterator[Problem]:
        """Yield problems of the URL."""
        if problem := addresses.wrong_with(self.url):
            yield "url", problem


class Working(Section, frozen=True, kw_only=True):
    """The keys of `[probing]` for every worker: its parallel work, and its deadlines.

    A service works on `concurrency` endpoints at once, with `per_endpoint` requests at each, for all kinds of jobs.
    """

    concurrency: Annotated[int, Meta(ge=1, le=1024)] = 16
    per_endpoint: Annotated[int, Meta(ge=1, le=64)] = 4
    answer_timeout_s: Seconds = 30.0
    job_timeout_s: Seconds = 600.0


class Outbound(Section, frozen=True, kw_only=True):
    """The allowed places of endpoints: host names (`*.example.com`) and networks (`10.0.0.0/8`). Empty: all.

    Vedette never connects to link-local addresses, where clouds give out credentials.
    """

    allow: tuple[Annotated[str, Meta(min_length=1, max_length=253)], ...] = ()
