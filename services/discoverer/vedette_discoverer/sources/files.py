"""Endpoints of files in a directory: TOML with tables `[endpoints.NAME]`, and llm-d's endpoint files.

llm-d's file-discovery plugin reads YAML or JSON with a list `endpoints` of name, namespace, address, port and labels:
https://github.com/llm-d/llm-d-router pkg/epp/framework/plugins/datalayer/discovery/file/README.md (2026-11-30).
"""

import asyncio
import re
import tomllib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from vedette.endpoints.merging import OF_SOURCES
from vedette.local import installing
from vedette.providers import addresses
from vedette.settings.sources import Directory
from vedette_discoverer.sources.naming import named
from vedette_discoverer.sources.shapes import at
from vedette_discoverer.sources.view import Refused, Unfit, View, Wanted

_MAX_BYTES: Final = 1024 * 1024
_MAX_FILES: Final = 1000
_SUFFIXES: Final = (".toml", ".yaml", ".yml", ".json")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
_NAMESPACE: Final = "default"  # llm-d's own default
_ROLE: Final = "llm-d.ai/role"  # a label


class Files:
    """The endpoints in the files of a directory, read again every few seconds.

    If the directory or a file cannot be read or parsed, its earlier endpoints stay. An entry with a mistake is refused.
    """

    name = "directory"  # "file" is the configuration file

    def __init__(self, settings: Directory) -> None:
        self._directory = Path(settings.path or "")
        self.every_s = settings.every_s

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Do nothing: files are opened when they are read."""
        yield

    async def view(self) -> View:
        """Return the endpoints in the files."""
        return await asyncio.to_thread(self._read_all)

    def _read_all(self) -> View:
        try:
            files = sorted(
                one
                for one in self._directory.iterdir()
                if one.suffix in _SUFFIXES and not one.name.startswith(".") and one.is_file()
            )
            if len(files) > _MAX_FILES:
                raise Unfit(f"more than {_MAX_FILES:,} files")
        except OSError as error:
            return View(unseen={"": f"{self._directory} cannot be read: {error.strerror}"})
        except Unfit as why:
            return View(unseen={"": f"{self._directory}: {why}"})
        wanted: list[Wanted] = []
        refused: list[Refused] = []
        unseen: dict[str, str] = {}
        for file in files:
            try:
                for one in read(file.name, _content(file)):
                    (wanted if isinstance(one, Wanted) else refused).append(one)  # type: ignore[arg-type]
            except (OSError, Unfit) as why:
                unseen[f"{file.name} "] = str(why)
        return View(wanted=tuple(wanted), refused=tuple(refused), unseen=unseen)


def _content(file: Path) -> str:
    with file.open("rb") as opened:
        content = opened.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise Unfit("larger than 1 MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unfit(f"is not UTF-8: {error}") from error


def read(name: str, text: str) -> Iterator[Wanted | Refused]:
    """Yield the endpoints and the refused entries of the file *name*. Raises Unfit if it has no list of endpoints."""
    suffix = Path(name).suffix
    parse = {".toml": _toml, ".json": _json}.get(suffix, _yaml)
    document = parse(text)
    endpoints = document.get("endpoints") if isinstance(document, Mapping) else None
    if suffix == ".toml" and isinstance(endpoints, Mapping):
        yield from _tables(name, endpoints)
    elif suffix != ".toml" and isinstance(endpoints, list):
        yield from _entries(name, endpoints)
    else:
        form = "tables [endpoints.NAME]" if suffix == ".toml" else "list `endpoints`"
        raise Unfit(f"has no {form}")


def _toml(text: str) -> Any:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Unfit(f"is not valid TOML: {error}") from error


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise Unfit(f"is not valid JSON: {error}") from error


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise Unfit(f"PyYAML is not installed; install it ({installing.command('yaml')})") from error
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        raise Unfit(f"is not valid YAML: {' '.join(str(error).split())}") from error


def _tables(file: str, endpoints: Mapping[str, Any]) -> Iterator[Wanted | Refused]:
    for name, table in endpoints.items():
        origin = f"{file} {name}"
        if not _NAME.match(name):
            problem = "an endpoint's name is lower-case letters, digits and hyphens, at most 63"
            yield Refused(name=named(name), origin=origin, reason=problem)
        elif not isinstance(table, Mapping):
            yield Refused(name=name, origin=origin, reason=f"[endpoints.{name}] is not a table")
        elif wrong := _wrong_with(table):
            yield Refused(name=name, origin=origin, reason=wrong)
        else:
            settings = {key: value for key, value in table.items() if key != "key"}
            key = table.get("key")
            yield Wanted(
                name=name, origin=origin, settings=settings, key=str(key) if key is not None else None
            )


def _wrong_with(table: Mapping[str, Any]) -> str | None:
    """Return why *table* may not be published: all clients may read it, so it must contain no secret."""
    for key in table:
        if key not in OF_SOURCES | {"key", "measure"}:
            return f"{key} may not be set by a file of the directory"
    url = table.get("url")
    return None if url is None else addresses.wrong_with(str(url))


def _entries(file: str, endpoints: Sequence[Any]) -> Iterator[Wanted | Refused]:
    for place, entry in enumerate(endpoints):
        name = entry.get("name") if isinstance(entry, Mapping) else None
        if not isinstance(name, str) or not name:
            yield Refused(
                name=named(file, str(place)), origin=f"{file} [{place}]", reason="the entry has no name"
            )
            continue
        if at(entry, "labels", _ROLE) == "prefill":
            continue  # only decode pods call a prefill pod
        namespace = entry.get("namespace") or _NAMESPACE
        origin = f"{file} {namespace}/{name}"
        try:
            yield Wanted(name=named(str(namespace), name), origin=origin, settings=_of_entry(entry))
        except Unfit as why:
            yield Refused(name=named(str(namespace), name), origin=origin, reason=str(why))


def _of_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of one of llm-d's entries. Raises Unfit."""
    address, port = str(entry.get("address") or ""), str(entry.get("port") or "")
    if not re.fullmatch(r"[A-Za-z0-9.:-]{1,253}", address):
        raise Unfit(f"address {address!r} is not an IP address or a host")
    if not (port.isdecimal() and 0 < int(port) < 65536):
        raise Unfit(f"port {port!r} is not a number from 1 to 65535")
    bracketed = f"[{address}]" if ":" in address else address
    return {"provider": "openai-compatible", "url": f"http://{bracketed}:{port}"}
