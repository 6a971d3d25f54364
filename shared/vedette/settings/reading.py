"""Reads the configuration file into `Settings`. Unknown keys are refused with a suggestion."""

import difflib
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Set
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, TypeGuard, TypeVar, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from vedette import providers
from vedette.errors import ConfigurationError
from vedette.settings.endpoints import EndpointSettings
from vedette.settings.whole import Settings

DEFAULT_FILE = "vedette.toml"

T = TypeVar("T")


class Source(Struct, frozen=True):
    """The source of the configuration: the file, a function that reads it, and the settings of the start."""

    file: Path
    load: Callable[[], Settings]
    started: Settings


def settings_file(path: str | None = None, *, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the file that `load` reads, even if it does not exist."""
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
    """Return the content of the file, and its name for messages. Raises ConfigurationError."""
    named = path or environ.get("VEDETTE_CONFIG")
    file = settings_file(path, environ=environ)
    if not named and not file.is_file():
        return {}, DEFAULT_FILE
    try:
        # TOML is UTF-8, whatever the locale. Editors on Windows may add a byte-order mark.
        return tomllib.loads(file.read_text("utf-8-sig")), str(file)
    except OSError as error:
        raise ConfigurationError(where=file, problem=f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(where=file, problem="is not UTF-8; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(where=file, problem=f"is not valid TOML: {error}") from error
    except RecursionError as error:
        raise ConfigurationError(where=file, problem="has values nested too deeply") from error


def parse(document: Mapping[str, Any], *, where: str, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings in *document*. Raises ConfigurationError, which names *where* and the key."""
    settings, problems = examine(document, where=where, environ=environ)
    for problem in problems:
        raise problem
    return settings


def examine(
    document: Mapping[str, Any], *, where: str, environ: Mapping[str, str] = os.environ
) -> tuple[Settings, list[ConfigurationError]]:
    """Return the settings in the readable parts of *document*, and all its problems.

    An unreadable section has its defaults. An unreadable endpoint is left out.
    """
    unknown = list(_unknown_keys(document, Settings, ()))
    problems = [
        ConfigurationError(where=where, problem=f"{'.'.join(path)}: {hint}") for path, hint in unknown
    ]
    settings, unreadable = _convert(_without(document, {path for path, _ in unknown}), where)
    problems += unreadable
    problems += [
        ConfigurationError(where=f"{where}: {key}", problem=problem) for key, problem in settings.problems()
    ]
    if not settings.endpoints and not document.get("endpoints") and not settings.discovery.sources:
        ollama = EndpointSettings(provider="ollama", url=ollama_url(environ.get("OLLAMA_HOST", "")))
        settings = msgspec.structs.replace(settings, endpoints={"ollama": ollama})
    return settings, problems


def endpoint_of(table: Mapping[str, Any], *, where: str) -> EndpointSettings:
    """Return the endpoint in *table*. Raises ConfigurationError, which names *where* and the key."""
    for path, hint in _unknown_keys(table, EndpointSettings, ()):
        raise ConfigurationError(where=where, problem=f"{'.'.join(path)}: {hint}")
    endpoint = _convert_one(_placed(table), EndpointSettings, where)
    for key, problem in endpoint.problems():
        raise ConfigurationError(where=f"{where}.{key}", problem=problem)
    return endpoint


def ollama_url(host: str) -> str:
    """Return the URL for *host* in the form of Ollama's own client, where scheme and port are optional."""
    text = host.strip().strip("\"'") or "127.0.0.1"
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    default_port = {"http": 80, "https": 443}.get(scheme, 11434) if separator else 11434
    parts = urlsplit(f"//{rest}")
    name = parts.hostname or "127.0.0.1"
    # A wildcard address cannot be called.
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)  # noqa: S104
    bracketed = f"[{name}]" if ":" in name else name
    return f"{scheme}://{bracketed}:{parts.port or default_port}{parts.path.rstrip('/')}"


def _convert(document: Mapping[str, Any], where: str) -> tuple[Settings, list[ConfigurationError]]:
    """Convert *document* by section and endpoint; return the settings, and an error for each wrong type or value."""
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
            # Separately, because msgspec would report the names of endpoints as "[...]".
            places = {one: f"{where}: endpoints.{one}" for one in value}
            found = {one: convert(_placed(value[one]), EndpointSettings, places[one]) for one in value}
            sections[name] = {one: endpoint for one, endpoint in found.items() if endpoint is not None}
        else:
            if name == "nats" and isinstance(value, Mapping) and _are_texts(urls := value.get("url")):
                # Several servers become one text, as in VEDETTE_NATS_URL.
                value = {**value, "url": ",".join(urls)}
            holder = convert({name: value}, Settings, where)
            if holder is not None:
                sections[name] = getattr(holder, name)
    return Settings(**sections), problems


def _are_texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _placed(endpoint: Any) -> Any:
    """Return *endpoint* with the `home` URL of its provider, if it has no URL of its own."""
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
    """Yield the path of each unknown key, and a hint with the nearest key."""
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
    fields = _types(kind)
    known = kind.sections() if kind is Settings else kind.__struct_fields__
    for key, inner in value.items():
        if key in known:
            yield from _unknown_keys(inner, fields[key], (*path, key))
        else:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known)}"
            yield (*path, key), f"unknown key; {hint}"


@cache  # called for each definition of an endpoint, and slow
def _types(kind: type[Struct]) -> Mapping[str, Any]:
    return get_type_hints(kind, include_extras=True)


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
