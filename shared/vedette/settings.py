"""The configuration: one TOML file into one struct, unknown keys refused with a suggestion.

No file is needed. Durations are text (`"500ms"`, `"30s"`, `"30m"`, `"6h"`, `"7d"`) or seconds. Secrets are
never written here: they are named, as `{ env = "NAME" }` or `{ file = "/path" }`.
"""

import difflib
import hashlib
import itertools
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Set
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeGuard, TypeVar, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec
from cronsim import CronSim, CronSimError
from msgspec import Meta, Struct

from vedette import providers
from vedette.errors import ConfigurationError
from vedette.providers import addresses
from vedette.types import Bound, Capability, Fraction, Price, Rating, Signal

DEFAULT_FILE = "vedette.toml"
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\Z")
_LOOPBACK = re.compile(r"localhost|127(?:\.\d{1,3}){3}|::1|(?:.*\.)?localhost")  # one machine by many names
_ENDPOINT_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")

_SLOTS_LOOKED_AT = 50

T = TypeVar("T")
Seconds = Annotated[float, Meta(gt=0)]
Weight = Annotated[float, Meta(ge=0, le=1000)]


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration file."""


class Secret(Section, frozen=True, kw_only=True):
    """Where a secret is found. Read at use, so that a rotated secret is picked up by a restart alone."""

    env: str | None = None
    file: str | None = None

    def read(self, where: str) -> str:
        """Return the secret. Raises ConfigurationError naming *where* it was asked for, never its value."""
        if self.env is not None:
            value = os.environ.get(self.env)
            if not value:
                raise ConfigurationError(
                    where=where, problem=f"the environment variable {self.env} is not set"
                )
            return value
        try:
            return Path(self.file or "").read_text().strip()
        except OSError as error:
            raise ConfigurationError(
                where=where, problem=f"{self.file} cannot be read: {error.strerror}"
            ) from error

    @property
    def reference(self) -> str:
        """How a caller is told where the secret is: `env:NAME` or `file:/path`."""
        return f"env:{self.env}" if self.env else f"file:{self.file}"


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
    locality: Literal["local", "remote"] | None = (
        None  # on machines of your own or not; by its address if not set
    )
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

    @property
    def group(self) -> str:
        """The host group whose processor this endpoint uses: as configured, else the host of its URL."""
        host = (urlsplit(addresses.http_url(self.url)).hostname or "unknown").rstrip(".")
        return self.host_group or ("localhost" if _LOOPBACK.fullmatch(host) else host)

    @property
    def fingerprint(self) -> str:
        """A short digest of everything configured, secrets by their reference only."""
        return hashlib.sha256(msgspec.json.encode(self, order="sorted")).hexdigest()[:16]


class Schedule(Section, frozen=True, kw_only=True):
    """How often each job runs: a duration, or five cron fields (UTC)."""

    discovery: str | float = "24h"
    availability: str | float = "30m"
    performance: str | float = "6h"
    quality: str | float = "7d"
    retention: str | float = "24h"
    run_on_startup: bool = True


class Nats(Section, frozen=True, kw_only=True):
    """The NATS server. Without a URL a private one is started on loopback, on `port` or that of the last start.

    `url` is one URL or those of a cluster's servers: a list in the file, one text separated by commas elsewhere.
    """

    url: str | None = None
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    credentials: str | None = None  # a .creds file
    user: str | Secret | None = None
    password: Secret | None = None
    ca_file: str | None = None
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    expected_models: Annotated[int, Meta(ge=1)] = 1000  # sizes the byte limit of the stream MODELS
    provision: bool = True  # False: streams are made by "vedette provision" alone

    @property
    def login(self) -> tuple[str, str] | None:
        """The user's name and password, or None without a user. Raises ConfigurationError."""
        if self.user is None:
            return None
        user = self.user.read("nats.user") if isinstance(self.user, Secret) else self.user
        return user, self.password.read("nats.password") if self.password else ""


class Database(Section, frozen=True, kw_only=True):
    """Where history is kept: SQLite under the state directory unless a URL is given, as text or as a secret."""

    url: str | Secret | None = None
    retention_days: Annotated[int, Meta(ge=1, le=3650)] = 30

    @property
    def address(self) -> str | None:
        """The URL, read where it is a secret. Raises ConfigurationError."""
        return self.url.read("database.url") if isinstance(self.url, Secret) else self.url


class Http(Section, frozen=True, kw_only=True):
    """Where /livez, /readyz and /metrics are served. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 0


class Outbound(Section, frozen=True, kw_only=True):
    """Where endpoints may be: names of hosts (`*.example.com`) and networks (`10.0.0.0/8`). Empty: anywhere.

    Link-local addresses, behind which clouds hand out credentials, are never connected to.
    """

    allow: tuple[Annotated[str, Meta(min_length=1, max_length=253)], ...] = ()


class Probing(Section, frozen=True, kw_only=True):
    """How much is done at once, and how many results in a row change a status.

    A service works on `concurrency` endpoints at once, with `per_endpoint` requests at each, whatever its jobs.
    """

    concurrency: Annotated[int, Meta(ge=1, le=1024)] = 16
    per_endpoint: Annotated[int, Meta(ge=1, le=64)] = 4
    confirm: Annotated[int, Meta(ge=1, le=20)] = 2
    window: Annotated[int, Meta(ge=1, le=20)] = 2
    answer_timeout_s: Seconds = 30.0
    job_timeout_s: Seconds = 600.0
    misses_until_lost: Annotated[int, Meta(ge=1, le=100)] = 2
    new_models_per_day: Annotated[int, Meta(ge=0)] = 1000  # per endpoint, after its first listing


class Benchmarking(Section, frozen=True, kw_only=True):
    """How a model is measured: measured runs per prompt length, tokens asked for in each, deadlines.

    The first run has a deadline of its own because it may load the model; Ollama gives a load up after 5 min.
    """

    runs: Annotated[int, Meta(ge=1, le=100)] = 3
    output_tokens: Annotated[int, Meta(ge=16, le=4096)] = 64
    run_timeout_s: Seconds = 120.0
    first_run_timeout_s: Seconds = 360.0


class Evaluating(Section, frozen=True, kw_only=True):
    """How well models answer: `items` asked of each suite, or `least` once the interval is as narrow as asked for.

    `suites` names a folder with suites of one's own (TOML or JSONL). Programs that models write run in a sandbox.
    `usd_per_day` gives leave to evaluate models whose calls cost money, all of them together within it a day.
    With `run_code = false`, and where the system has no sandbox, their syntax trees decide, at half the weight.
    """

    items: Annotated[int, Meta(ge=1, le=1000)] = 12
    least: Annotated[int, Meta(ge=1, le=1000)] = 8
    interval_width: Fraction = 0.35
    timeout_s: Seconds = 120.0
    suites: str | None = None
    run_code: bool = True
    usd_per_day: Annotated[float, Meta(ge=0)] | None = None


class Vouched(Rating, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rating of `model`: endpoint/name, or a name at whatever endpoint."""

    model: Annotated[str, Meta(min_length=1, max_length=1024)]


class CustomUseCase(Section, frozen=True, kw_only=True):
    """A use case of one's own, or other weights for a built-in one."""

    weights: Annotated[
        dict[Signal, Weight],
        Meta(min_length=1),
    ]
    capabilities: tuple[Capability, ...] = ()
    kinds: dict[str, Weight] = {}  # evaluation kinds and how much each counts; absent: all alike
    # Other bounds than those of the built-in use case that it is most like; 0 lifts one.
    bounds: dict[Bound, Annotated[float, Meta(ge=0, le=1e9)]] = {}

    def __post_init__(self) -> None:
        """Raise ValueError for a bound of quality that no model can reach."""
        if self.bounds.get("quality", 0.0) > 1.0:
            raise ValueError("bounds.quality is a share of the best quality, at most 1")


class Recommend(Section, frozen=True, kw_only=True):
    """How recommendations are made. `facts` is a file of published facts of one's own (`vedette knowledge update`)."""

    use_cases: dict[str, CustomUseCase] = {}
    facts: str | None = None


class Settings(Section, frozen=True, kw_only=True):
    """The whole configuration, with a default for everything."""

    endpoints: dict[str, EndpointSettings] = {}
    schedule: Schedule = Schedule()
    nats: Nats = Nats()
    database: Database = Database()
    http: Http = Http()
    outbound: Outbound = Outbound()
    probing: Probing = Probing()
    benchmarking: Benchmarking = Benchmarking()
    evaluating: Evaluating = Evaluating()
    recommend: Recommend = Recommend()
    quality: tuple[Vouched, ...] = ()


class Source(Struct, frozen=True):
    """Where the configuration of this process comes from: the file, how it is read, and what it gave at the start."""

    file: Path
    load: Callable[[], Settings]
    started: Settings


def settings_file(path: str | None = None, *, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the file that `load` reads, be it there or not."""
    return Path(path or environ.get("VEDETTE_CONFIG") or DEFAULT_FILE)


def load(path: str | None = None, *, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of the file *path*, else of `VEDETTE_CONFIG`, else of `./vedette.toml`, if any.

    Raises ConfigurationError with the file, the key, the reason and, for a misspelling, the nearest key.
    """
    document, where = read(path, environ=environ)
    return parse(document, where=where, environ=environ)


def read(
    path: str | None = None, *, environ: Mapping[str, str] = os.environ
) -> tuple[Mapping[str, Any], str]:
    """Return what that file holds, and how it is called. Raises ConfigurationError."""
    named = path or environ.get("VEDETTE_CONFIG")
    file = settings_file(path, environ=environ)
    if not named and not file.is_file():
        return {}, DEFAULT_FILE
    try:
        return tomllib.loads(file.read_text()), str(file)
    except OSError as error:
        raise ConfigurationError(where=file, problem=f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(where=file, problem=f"is not valid TOML: {error}") from error


def parse(document: Mapping[str, Any], *, where: str, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings that *document* gives. Raises ConfigurationError, naming *where* and the key."""
    settings, problems = examine(document, where=where, environ=environ)
    for problem in problems:
        raise problem
    return settings


def examine(
    document: Mapping[str, Any], *, where: str, environ: Mapping[str, str] = os.environ
) -> tuple[Settings, list[ConfigurationError]]:
    """Return what can be read of *document*, and all that is wrong with it.

    A section that cannot be read has its defaults; an endpoint that cannot be read is left out.
    """
    unknown = list(_unknown_keys(document, Settings, ()))
    problems = [
        ConfigurationError(where=where, problem=f"{'.'.join(path)}: {hint}") for path, hint in unknown
    ]
    settings, unreadable = _convert(_without(document, {path for path, _ in unknown}), where)
    problems += unreadable
    problems += _wrong(settings, where)
    if not settings.endpoints and not document.get("endpoints"):
        ollama = EndpointSettings(provider="ollama", url=ollama_url(environ.get("OLLAMA_HOST", "")))
        settings = msgspec.structs.replace(settings, endpoints={"ollama": ollama})
    return settings, problems


def _wrong(settings: Settings, where: str) -> Iterator[ConfigurationError]:
    """Yield what is wrong with values that are of the right type."""
    for name, endpoint in settings.endpoints.items():
        yield from _wrong_with_endpoint(name, endpoint, f"{where}: endpoints.{name}")
    nats, database = settings.nats, settings.database
    for key, secret in (
        ("nats.user", nats.user),
        ("nats.password", nats.password),
        ("database.url", database.url),
    ):
        yield from _wrong_with_secret(secret, f"{where}: {key}")
    for job in ("discovery", "availability", "performance", "quality", "retention"):
        yield from _wrong_with_interval(getattr(settings.schedule, job), f"{where}: schedule.{job}")
    if 2 * settings.probing.confirm <= settings.probing.window:
        yield ConfigurationError(
            where=f"{where}: probing.confirm",
            problem="must be more than half of probing.window, else alternating results would flap",
        )
    for name, use_case in settings.recommend.use_cases.items():
        if not any(use_case.weights.values()):
            yield ConfigurationError(
                where=f"{where}: recommend.use_cases.{name}.weights", problem="at least one must be positive"
            )


def ollama_url(host: str) -> str:
    """Return the URL that *host* means to Ollama's own client: scheme and port are optional in it."""
    text = host.strip().strip("\"'") or "127.0.0.1"
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    default_port = {"http": 80, "https": 443}.get(scheme, 11434) if separator else 11434
    parts = urlsplit(f"//{rest}")
    name = parts.hostname or "127.0.0.1"
    # A server's wildcard address is no address to call.
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)  # noqa: S104
    bracketed = f"[{name}]" if ":" in name else name
    return f"{scheme}://{bracketed}:{parts.port or default_port}{parts.path.rstrip('/')}"


def seconds(value: str | float) -> float:
    """Return a duration in seconds. Raises ValueError for text that is none."""
    if isinstance(value, int | float):
        amount = float(value)
    else:
        match = _DURATION.match(value.strip())
        if not match:
            raise ValueError(f'{value!r} is not a duration such as "30s", "30m", "6h" or "7d"')
        amount = float(match[1]) * _UNITS_S[match[2]]
    if amount <= 0:
        raise ValueError("a duration must be positive")
    return amount


def interval_s(value: str | float) -> float:
    """Return the longest time in seconds between two slots of a schedule."""
    if not (isinstance(value, str) and is_cron(value)):
        return seconds(value)
    slots = list(itertools.islice(CronSim(value, datetime(2000, 1, 1)), _SLOTS_LOOKED_AT))
    return max((b - a).total_seconds() for a, b in itertools.pairwise(slots))


def is_cron(value: str | float) -> bool:
    """Return whether a schedule is given as cron fields."""
    return isinstance(value, str) and len(value.split()) >= 5


def _wrong_with_interval(value: str | float, where: str) -> Iterator[ConfigurationError]:
    try:
        if isinstance(value, str) and is_cron(value):
            CronSim(value, datetime(2000, 1, 1))
        else:
            seconds(value)
    except (CronSimError, ValueError) as error:
        yield ConfigurationError(
            where=where, problem=f'{error}; give a duration ("30m") or cron fields ("0 4 * * *")'
        )


def _wrong_with_endpoint(name: str, endpoint: EndpointSettings, where: str) -> Iterator[ConfigurationError]:
    if not _ENDPOINT_NAME.match(name):
        yield ConfigurationError(
            where=where, problem="an endpoint's name is lower-case letters, digits and hyphens, at most 63"
        )
    if problem := addresses.wrong_with(endpoint.url):
        yield ConfigurationError(where=f"{where}.url", problem=problem)
    for secret in (endpoint.api_key, endpoint.basic.password if endpoint.basic else None):
        yield from _wrong_with_secret(secret, where)
    for header, value in endpoint.headers.items():
        yield from _wrong_with_secret(value, f"{where}.headers.{header}")


def _wrong_with_secret(secret: str | Secret | None, where: str) -> Iterator[ConfigurationError]:
    if isinstance(secret, Secret) and (secret.env is None) == (secret.file is None):
        yield ConfigurationError(where=where, problem='a secret has either "env" or "file"')


def _convert(document: Mapping[str, Any], where: str) -> tuple[Settings, list[ConfigurationError]]:
    """Return *document* section by section, endpoint by endpoint, and those that have a wrong type or value."""
    problems: list[ConfigurationError] = []

    def convert(value: Any, kind: Any, place: str) -> Any:
        try:
            return _convert_one(value, kind, place)
        except ConfigurationError as error:
            problems.append(error)
            return None

    sections: dict[str, Any] = {}
    for name, value in document.items():
        if name == "endpoints" and isinstance(value, Mapping):
            # One by one, because msgspec names such keys "[...]".
            places = {one: f"{where}: endpoints.{one}" for one in value}
            found = {one: convert(_placed(value[one]), EndpointSettings, places[one]) for one in value}
            sections[name] = {one: endpoint for one, endpoint in found.items() if endpoint is not None}
        else:
            if name == "nats" and isinstance(value, Mapping) and _are_texts(urls := value.get("url")):
                # As in VEDETTE_NATS_URL: several servers are one text, separated by commas.
                value = {**value, "url": ",".join(urls)}
            holder = convert({name: value}, Settings, where)
            if holder is not None:
                sections[name] = getattr(holder, name)
    return Settings(**sections), problems


def _are_texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _placed(endpoint: Any) -> Any:
    """Return *endpoint* with the URL of the service that its provider is for, unless it has one."""
    if (
        not isinstance(endpoint, Mapping)
        or "url" in endpoint
        or endpoint.get("provider") not in providers.names()
    ):
        return endpoint
    home = providers.load(endpoint["provider"]).home
    return {"url": home, **endpoint} if home else endpoint


def _convert_one(value: Any, kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$")
        key = path.strip("`").lstrip(".")
        joint = "." if ": " in where else ": "
        raise ConfigurationError(
            where=f"{where}{joint}{key}" if key else where, problem=_explain(reason)
        ) from error


def _explain(reason: str) -> str:
    if reason.startswith("Expected `object") and "got `str`" in reason:
        return f'{reason}; secrets are not written here: use {{ env = "NAME" }} or {{ file = "/path" }}'
    return reason


def _unknown_keys(value: Any, kind: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path of each unknown key, and a hint at what is meant."""
    if isinstance(value, list):
        for place, inner in enumerate(value if get_origin(kind) is tuple else ()):
            yield from _unknown_keys(inner, get_args(kind)[0], (*path[:-1], f"{path[-1]}[{place}]"))
        return
    kind = _table_of(kind, value)
    if kind is None or not isinstance(value, Mapping):
        return
    if get_origin(kind) is dict:
        for key, inner in value.items():
            yield from _unknown_keys(inner, get_args(kind)[1], (*path, key))
        return
    fields = get_type_hints(kind, include_extras=True)
    for key, inner in value.items():
        if key in kind.__struct_fields__:
            yield from _unknown_keys(inner, fields[key], (*path, key))
        else:
            near = difflib.get_close_matches(key, kind.__struct_fields__, n=1, cutoff=0.5)
            hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(kind.__struct_fields__)}"
            yield (*path, key), f"unknown key; {hint}"


def _without(value: Any, paths: Set[tuple[str, ...]], path: tuple[str, ...] = ()) -> Any:
    """Return *value* without the keys at *paths*."""
    if isinstance(value, list):
        return [_without(one, paths, (*path[:-1], f"{path[-1]}[{n}]")) for n, one in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    return {
        key: _without(inner, paths, (*path, key)) for key, inner in value.items() if (*path, key) not in paths
    }


def _table_of(kind: Any, value: Any) -> Any:
    if get_origin(kind) in (Union, UnionType):
        options = [option for option in get_args(kind) if _table_of(option, value) is not None]
        return options[0] if options and isinstance(value, Mapping) else None
    if get_origin(kind) is dict:
        return kind
    return kind if isinstance(kind, type) and issubclass(kind, Struct) else None
