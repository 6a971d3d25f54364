"""Addresses on the console. Browsers take the model names `.` and `..` as steps of a path. Pure."""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlencode

from vedette.types import ModelRef

_STEPS: Final = (".", "..")  # a browser follows them even when they are escaped


def path_of(model: ModelRef) -> str:
    """Return the end of an address that names *model*: its endpoint and its name."""
    if model.name in _STEPS:
        return f"{model.endpoint}/?name={model.name}"
    return f"{model.endpoint}/{quote(model.name, safe=':')}"


def named(path: str, name: str) -> str:
    """Return the model that the end *path* of an address and its parameter *name* name, as endpoint/name."""
    return path + name if path.endswith("/") else path


def dated(address: str, at: datetime | None) -> str:
    """Return *address* with the parameter `at`; unchanged for None, which means now."""
    if at is None:
        return address
    address, hash_, place = address.partition("#")
    at_query = urlencode({"at": written(at)})
    return f"{address}{'&' if '?' in address else '?'}{at_query}{hash_}{place}"


def written(at: datetime) -> str:
    """Return *at* as ISO 8601 in UTC with `Z`; microseconds only if it has them."""
    utc = at.astimezone(UTC)
    return utc.isoformat(timespec="microseconds" if utc.microsecond else "seconds").replace("+00:00", "Z")
