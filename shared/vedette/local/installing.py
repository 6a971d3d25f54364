"""Finds out how Vedette was installed, and returns the command that adds an extra to that installation."""

import json
import os
import shlex
import sys
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from msgspec import Struct

NAME = "vedette"
# Files that these tools write into their environments.
_UV_TOOL = "uv-receipt.toml"
_PIPX = "pipx_metadata.json"

Way = Literal["checkout", "uv tool", "pipx", "uv pip", "pip"]
_INSTALL: dict[Way, str] = {
    "uv tool": "uv tool install",
    "pipx": "pipx install --force",
    "uv pip": "uv pip install --python {environment}/bin/python",
    "pip": "{environment}/bin/python -m pip install",
}


class Installed(Struct, frozen=True, kw_only=True):
    """How Vedette was installed. *source* is the directory of a checkout, or a URL outside package indexes."""

    way: Way
    environment: str = sys.prefix
    source: str | None = None
    editable: bool = False  # from a checkout, into another environment than the checkout's
    extras: tuple[str, ...] = ()  # extras that a new installation would lose


def command(extra: str, installed: Installed | None = None) -> str:
    """Return the shell command that adds *extra* to the running Vedette, or to *installed*."""
    found = installed or detect()
    if found.way == "checkout":
        return f"uv sync --project {shlex.quote(found.source or '.')} --inexact --extra {extra}"
    extras = ",".join(sorted({extra, *found.extras}))
    if found.editable:
        wanted = f"--editable {shlex.quote(f'{found.source}[{extras}]')}"
    else:
        wanted = shlex.quote(f"{NAME}[{extras}]" + (f" @ {found.source}" if found.source else ""))
    return f"{_INSTALL[found.way].format(environment=shlex.quote(found.environment))} {wanted}"


def detect(prefix: Path | None = None, package: Distribution | None = None) -> Installed:
    """Return how *package* was installed into the environment *prefix*; defaults: the running Vedette."""
    environment = prefix or Path(sys.prefix)
    try:
        package = package or distribution(NAME)
    except PackageNotFoundError:  # run from source files
        return Installed(way="checkout", source=str(Path(__file__).parents[3]))
    origin = json.loads(package.read_text("direct_url.json") or "{}")
    source = _source(origin)
    if (receipt := environment / _UV_TOOL).exists():
        return Installed(way="uv tool", source=source, extras=_of_uv_tool(receipt))
    if (metadata := environment / _PIPX).exists():
        return Installed(way="pipx", source=source, extras=_of_pipx(metadata))
    with_uv = (package.read_text("INSTALLER") or "").strip() == "uv"
    way: Way = "uv pip" if with_uv else "pip"
    if not origin.get("dir_info", {}).get("editable"):
        return Installed(way=way, environment=str(environment), source=source)
    directory = unquote(urlsplit(origin["url"]).path)
    if with_uv and environment.resolve() == Path(directory, ".venv").resolve():
        return Installed(way="checkout", source=directory)
    return Installed(way=way, environment=str(environment), source=directory, editable=True)


def _source(origin: dict[str, Any]) -> str | None:
    """Return the source of a package outside indexes, in the form of a requirement (PEP 610), or None."""
    url: str | None = origin.get("url")
    if repository := origin.get("vcs_info"):
        return f"{repository['vcs']}+{url}@{repository['commit_id']}"
    return url


def _of_uv_tool(receipt: Path) -> tuple[str, ...]:
    requirements = tomllib.loads(receipt.read_text()).get("tool", {}).get("requirements", [])
    return tuple(extra for one in requirements if one.get("name") == NAME for extra in one.get("extras", ()))


def _of_pipx(metadata: Path) -> tuple[str, ...]:
    asked: str = json.loads(metadata.read_text()).get("main_package", {}).get("package_or_url") or ""
    _, bracket, rest = os.path.basename(asked).partition("[")
    return tuple(filter(None, rest.partition("]")[0].split(","))) if bracket else ()
