"""`[endpoints.NAME]` and `[outbound]`: the model servers, where they may be, and how workers use them."""

import hashlib
import re
from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from vedette.providers import addresses
from vedette.settings.section import Problem, Seconds, Secret, Section
from vedette.types import Price

_LOOPBACK = re.compile(r"localhost|127(?:\.\d{1,3}){3}|::1|(?:.*\.)?localhost")  # one machine by many names


class Basic(Section, frozen=True, kw_only=True):
    """A login by user name and password."""

    user: str
    password: Secret


class Budget(Section, frozen=True, kw_only=True):
    """What Vedette may use at an endpoint in a day (UTC) of its own accord. Absent is unlimited."""

    requests_per_day: Annotated[int, Meta(ge=0)] | None = None
    tokens_per_day: Annotated[int, Meta(ge=0)] | None = None
    usd_per_day: Annotated[float, Meta(ge=0)] | None = None  # counted where the endpoint has a price


class Rates(Section, frozen=True, kw_only=True):
    """What a million tokens cost at an endpoint, in US dollars, and since when that holds."""

    input_usd_per_mtok: Annotated[float, Meta(ge=0)]
    output_usd_per_mtok: Annotated[float, Meta(ge=0)]
    as_of: str | None = None

    @property
    def price(self) -> Price:
        """These rates as a model carries them."""
        return Price(
            input_usd_per_mtok=self.input_usd_per_mtok,
            output_usd_per_mtok=self.output_usd_per_mtok,
            source="configuration",
            as_of=self.as_of,
        )


Figure = Literal["running", "waiting", "slots", "cache_use", "output_tps"]


class Load(Section, frozen=True, kw_only=True):
    """How an endpoint's load is read: every `every_s` seconds, never with 0, by default as `[probing]` says.

    It is read from the server itself, unless `metrics` is the URL of a page elsewhere, or `prometheus` that of a
    Prometheus, which is asked the `queries`. `api_key` goes to these two alone.
    """

    every_s: Annotated[float, Meta(ge=0)] | None = None
    metrics: str | None = None
    prometheus: str | None = None
    queries: dict[Figure, Annotated[str, Meta(min_length=1, max_length=1000)]] = {}
    api_key: Secret | None = None

    @property
    def url(self) -> str | None:
        """Where it is read, if not from the server itself."""
        return self.metrics or self.prometheus

    def check(self) -> Iterator[Problem]:
        """Yield what is wrong with the URLs, and queries without a Prometheus."""
        for key in ("metrics", "prometheus"):
            url = getattr(self, key)
            if url is not None and (problem := addresses.wrong_with(url)):
                yield key, problem
        if self.metrics and self.prometheus:
            yield "metrics", "is not read where prometheus is given; take one of the two out"
        if self.prometheus and "running" not in self.queries:
            yield "queries", 'need one for "running", the requests that are being worked on'
        if self.queries and not self.prometheus:
            yield "queries", "need the URL of a Prometheus: prometheus"
        if self.api_key and not self.url:
            yield "api_key", "is for metrics or prometheus; the endpoint's own is beside load"


class EndpointSettings(Section, frozen=True, kw_only=True):
    """One endpoint. `answer` says when a probe may ask for tokens: only of a `resident` model, or ….

    `measure` says whether anything is generated unasked: by default where a call is known to cost nothing.
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
    locality: Literal["local", "remote"] | None = None  # on your own machines or not; None: by its address
    models: tuple[str, ...] = ()  # of a server that has no listing
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
        return self.host_group or ("localhost" if _LOOPBACK.fullmatch(host) else host)

    @property
    def fingerprint(self) -> str:
        """A short digest of everything configured, secrets by their reference only."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]

    def check(self) -> Iterator[Problem]:
        """Yield what is wrong with the URL."""
        if problem := addresses.wrong_with(self.url):
            yield "url", problem


class Working(Section, frozen=True, kw_only=True):
    """The keys of `[probing]` that every worker reads: how much it does at once, and its deadlines.

    A service works on `concurrency` endpoints at once, with `per_endpoint` requests at each, whatever its jobs.
    """

    concurrency: Annotated[int, Meta(ge=1, le=1024)] = 16
    per_endpoint: Annotated[int, Meta(ge=1, le=64)] = 4
    answer_timeout_s: Seconds = 30.0
    job_timeout_s: Seconds = 600.0


class Outbound(Section, frozen=True, kw_only=True):
    """Where endpoints may be: names of hosts (`*.example.com`) and networks (`10.0.0.0/8`). Empty: anywhere.

    Link-local addresses, behind which clouds hand out credentials, are never connected to.
    """

    allow: tuple[Annotated[str, Meta(min_length=1, max_length=253)], ...] = ()
