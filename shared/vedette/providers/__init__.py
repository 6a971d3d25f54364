"""The interface of providers, and the registry that finds them.

A provider is one module with one object, named by an entry point of the group `vedette.providers`. Built-in
providers come through the same entry points as others. What a server does not report, its
provider answers with None; it never guesses. Every failure is a `ProviderError` with an `Outcome`.
"""

import difflib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import cache, lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, runtime_checkable

from msgspec import Struct

from vedette.errors import ConfigurationError
from vedette.providers import addresses
from vedette.providers.redaction import Secrets, credential
from vedette.types import Claim, Kind, Locality, Outcome, Price, Published, Residency

if TYPE_CHECKING:
    from vedette.clock import Clock


class Access(Struct, frozen=True, kw_only=True):
    """How to reach an endpoint. Secrets are already resolved; this never leaves the process."""

    endpoint: str
    url: str
    headers: Mapping[str, str] = {}  # among them Authorization, when a key or basic login is configured
    secrets: tuple[str, ...] | None = None  # values to redact in the server's texts; None: all header values
    ca_file: str | None = None
    verify: bool = True
    timeout_s: float = 10.0  # deadline of a whole call that is not a generation
    max_body_bytes: int = 16 * 1024 * 1024
    allowed: tuple[str, ...] = ()  # hosts and networks that may be connected to; empty: all
    flavour: str | None = None
    locality: Literal["local", "remote"] | None = None  # as configured; None: by its address
    models: tuple[str, ...] = ()  # as configured, for a server without a listing

    @property
    def redaction(self) -> Secrets:
        """The redactor of this endpoint: it removes the endpoint's secrets from texts of the server."""
        if self.secrets is not None:
            return Secrets(self.secrets)
        return Secrets(map(credential, self.headers.values()))


class Listing(Struct, frozen=True, kw_only=True):
    """One entry of an endpoint's listing, with what the listing itself reports."""

    name: str
    digest: str | None = None
    facts: Mapping[str, Any] = {}  # ModelInfo fields the listing already knows


class Described(Struct, frozen=True, kw_only=True):
    """A server's declaration of one model.

    `facts` holds fields of ModelInfo by name, `sources` the source of each fact. `claims` holds capabilities: those
    that the server declares (evidence `declared`), and those that its templates and keys imply (`inferred`).
    `origin` is the file or repository of the weights, as the server reports it. It often names the model better
    than its alias. `price` is the price that the service publishes. `usual_kind` is the kind that this server
    usually runs. It applies where `kind` is unknown and the model's name shows no other kind.
    """

    kind: Kind = "unknown"
    usual_kind: Kind = "unknown"
    facts: Mapping[str, Any] = {}
    sources: Mapping[str, str] = {}
    claims: Mapping[str, Claim] = {}
    locality: Locality = "unknown"
    origin: str | None = None
    price: Price | None = None
    base_url: str | None = None  # for OpenAI clients, if known; None: use `Provider.base_url`


class Server(Struct, frozen=True, kw_only=True):
    """The server: a product ("ollama", "llama.cpp", "vllm", …) and its version, if it reports them."""

    product: str | None = None
    version: str | None = None


class Delta(Struct, frozen=True, kw_only=True):
    """A piece of a streamed answer, at `at` seconds of the monotonic clock. Empty pieces are not yielded."""

    at: float
    text: str = ""
    thinking: str = ""


class Tool(Struct, frozen=True, kw_only=True):
    """A function that a model may call; `parameters` is the JSON Schema of its arguments."""

    name: str
    description: str
    parameters: Mapping[str, Any]


class ToolCall(Struct, frozen=True, kw_only=True):
    """A tool call by a model. `arguments` is None if the model did not write a JSON object."""

    name: str
    arguments: Mapping[str, Any] | None = None


class Finished(Struct, frozen=True, kw_only=True):
    """The end of a streamed answer, with the token counts and speeds that the server reports."""

    at: float
    reason: str | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None  # reasoning and text together
    reasoning_tokens: int | None = None  # the part that is reasoning, if the server counts it separately
    cached_tokens: int | None = None
    load_ms: float | None = None
    server_output_tps: float | None = None
    server_prompt_tps: float | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    streamed: bool = True  # False: the server gave the complete output at once, though it was asked to stream
    skipped: int = 0  # events of the stream that were not JSON


class Generation(Struct, frozen=True, kw_only=True):
    """A request to generate. It cannot change a server's state (keep-alive, context size)."""

    model: str
    prompt: str
    max_tokens: int
    temperature: float = 0.0
    chat: bool = True  # False: raw completion, for models without a chat template
    think: bool | None = None  # None: the model's own default
    tools: tuple[Tool, ...] = ()
    schema: Mapping[str, Any] | None = None  # the JSON Schema that the answer must match
    image: bytes | None = None  # a PNG that goes with the prompt
    deadline_s: float = 120.0


class Embedded(Struct, frozen=True, kw_only=True):
    """The result of one embedding call: number of vectors, their dimension, and the tokens of the texts.

    `values` holds the vectors, in the order of the texts. They are used for grading only and are not published.
    """

    sent_at: float  # monotonic seconds
    done_at: float
    vectors: int
    dimensions: int
    values: Sequence[Sequence[float]] = ()
    prompt_tokens: int | None = None
    load_ms: float | None = None


class Reranked(Struct, frozen=True, kw_only=True):
    """The result of one rerank call: a score for each document, in the order given."""

    sent_at: float  # monotonic seconds
    done_at: float
    scores: list[float]
    prompt_tokens: int | None = None


class ModelActivity(Struct, frozen=True, kw_only=True):
    """The endpoint's work with one of its models, as far as it reports."""

    running: int | None = None
    waiting: int | None = None
    slots: int | None = None
    cache_use: float | None = None
    generated_tokens: int | None = None
    output_tps: float | None = None


class Activity(Struct, frozen=True, kw_only=True):
    """What an endpoint is doing, as far as it reports.

    To see use by others, compare two of them, one from before a measurement and one from after.
    """

    running: int | None = None  # requests being worked on now
    waiting: int | None = None  # requests in its queue
    slots: int | None = None  # requests that it can work on at once
    cache_use: float | None = None  # fraction of the KV cache, 0 to 1
    generated_tokens: int | None = None  # of all requests since the server started; a counter
    counts_live: bool = True  # False: the tokens of a request are counted when the request ends
    output_tps: float | None = None  # as the server itself says
    loaded: Mapping[str, Residency] | None = None  # loaded models by name; None: not reported
    models: Mapping[str, ModelActivity] = {}  # by name
    used: Mapping[str, str] = {}  # by model name: a text that changes with each use of the model
    source: str = ""  # "vllm metrics", "llama.cpp slots", "ollama ps"

    @property
    def requests(self) -> int | None:
        """The number of requests, running and waiting; None if not reported."""
        return None if self.running is None else self.running + (self.waiting or 0)


class Features(Struct, frozen=True, kw_only=True):
    """The features of a provider."""

    free_to_ask: bool = True  # False: a paid service; probes that generate need permission


class Endpoint(Protocol):
    """One open endpoint. Every method has a deadline; every failure is a ProviderError."""

    features: Features

    async def reach(self) -> Server:
        """Return product and version of the server, by the server's cheapest request."""
        ...

    async def list_models(self) -> list[Listing]:
        """Return all models the endpoint lists, every page of them."""
        ...

    async def describe(self, model: Listing) -> Described:
        """Return the server's declaration of *model* (as it was listed)."""
        ...

    async def resident(self) -> Mapping[str, Residency] | None:
        """Return residency by model name; a model that is absent is not loaded. None: the server does not report it."""
        ...

    def generate(self, request: Generation) -> AsyncGenerator[Delta | Finished, None]:
        """Stream an answer; the last item is Finished. Raises ProviderError (INCOMPLETE) if the stream breaks off."""
        ...

    async def activity(self) -> Activity | None:
        """Return the endpoint's activity, or None if it reports none. This loads no model."""
        ...

    async def rerank(
        self, model: str, query: str, documents: list[str], *, deadline_s: float = 60.0
    ) -> Reranked:
        """Score *documents* against *query* in one call."""
        ...

    async def embed(self, model: str, texts: list[str], *, deadline_s: float = 60.0) -> Embedded:
        """Embed *texts* in one call."""
        ...


@runtime_checkable
class Publishing(Protocol):
    """An endpoint whose service publishes availability and speed of its models."""

    async def published(self, model: Listing) -> tuple[Published, ...]:
        """Return the figures of each upstream that serves *model*. This takes one free request."""
        ...


@runtime_checkable
class Metered(Protocol):
    """An endpoint that reports its load at any time, by requests that disturb no other caller."""

    async def load(self, server: str | None) -> Activity | None:
        """Return what the endpoint is doing, or None if it does not report it.

        *server* is the product that the last contact found. The requests do not count as use of a model, and take
        the server a few milliseconds at most.
        """
        ...


@runtime_checkable
class Recalling(Protocol):
    """An endpoint whose listing may disturb the server. Vedette can then reuse the names of an earlier listing."""

    async def recall(self, server: str | None, names: Sequence[str]) -> list[Listing] | None:
        """Return *names* as a listing if a listing request would disturb *server* and the server still runs.

        None: request the listing. Raises ProviderError if the server is unreachable.
        """
        ...


class Provider(Protocol):
    """A kind of server. `api` is the protocol by which agents call it, for example "ollama" or "openai".

    `home` is the URL of a public service, such as OpenAI. It is the default URL of endpoints of this provider.
    """

    name: str
    api: str
    home: str | None

    def open(self, access: Access, *, clock: "Clock") -> AbstractAsyncContextManager[Endpoint]:
        """Open an endpoint; its connections close with the context."""
        ...

    def base_url(self, url: str) -> str | None:
        """Return the base URL for OpenAI clients at the endpoint *url*, or None when there is none."""
        ...


def names() -> list[str]:
    """Return the names of all registered providers, sorted."""
    return sorted(point.name for point in entry_points(group="vedette.providers"))


_ALIKE: Final = 0.75  # "olama" is; "llamacpp" is another server than "ollama"


@cache  # what is installed stays so, and looking takes milliseconds
def load(name: str) -> Provider:
    """Return the provider registered as *name*. Raises ConfigurationError, which lists the installed providers."""
    for point in entry_points(group="vedette.providers"):
        if point.name == name:
            provider: Provider = point.load()
            return provider
    near = difflib.get_close_matches(name.lower(), names(), n=1, cutoff=_ALIKE)
    hint = (
        f'; did you mean "{near[0]}"?'
        if near
        else '; "openai-compatible" is for llama.cpp, vLLM, LM Studio and other servers with OpenAI\'s API'
    )
    raise ConfigurationError(
        where=f"provider {name!r}", problem=f"not installed; installed: {', '.join(names())}{hint}"
    )


@lru_cache(maxsize=65_536)
def base_url(provider: str, url: str) -> str | None:
    """Return the base URL for OpenAI clients at the endpoint *url*.

    None if *provider* is not installed here or has no such URL, and for a unix socket.
    """
    try:
        # OpenAI clients reach no unix socket by a URL.
        return None if addresses.socket_of(url) else load(provider).base_url(url)
    except ConfigurationError:
        return None


# Outcomes that are a failure of the endpoint, not of one model: other models are not tried in this round.
ENDPOINT_WIDE = frozenset(
    {
        Outcome.REFUSED,
        Outcome.RESET,
        Outcome.TIMEOUT,
        Outcome.UNREACHABLE,
        Outcome.AUTH_FAILED,
        Outcome.NO_CREDIT,
        Outcome.RATE_LIMITED,
    }
)
