"""The outcome for an exception of a call: the class of the model's failure, or none. Pure.

Only exceptions of libraries that call models count. They are recognised by module and name, so no library must be
installed. Python's own exceptions count only if one of these libraries was running. All others come from the caller's
code.
"""

import asyncio
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

from vedette.types import Outcome

_BY_STATUS: Final = {
    400: Outcome.BAD_REQUEST,
    401: Outcome.AUTH_FAILED,
    402: Outcome.NO_CREDIT,
    403: Outcome.AUTH_FAILED,
    404: Outcome.NOT_FOUND,
    408: Outcome.TIMEOUT,
    413: Outcome.TOO_LARGE,
    422: Outcome.BAD_REQUEST,
    429: Outcome.RATE_LIMITED,
    503: Outcome.BUSY,
    529: Outcome.BUSY,
}
_HTTPX: Final[Mapping[str, Outcome | None]] = {
    "PoolTimeout": None,  # the caller's own pool has no connection left
    "TimeoutException": Outcome.TIMEOUT,
    "ConnectError": Outcome.UNREACHABLE,
    "NetworkError": Outcome.RESET,
    "RemoteProtocolError": Outcome.RESET,
    "DecodingError": Outcome.GARBAGE,
}
# By the library's first module name and the name of the exception; the most specific class decides.
_BY_LIBRARY: Final[Mapping[str, Mapping[str, Outcome | None]]] = {
    "openai": {
        "APITimeoutError": Outcome.TIMEOUT,
        "APIConnectionError": Outcome.UNREACHABLE,
        "APIResponseValidationError": Outcome.GARBAGE,
        "APIError": Outcome.SERVER_ERROR,  # an error in the middle of a stream has no status
    },
    "httpx": _HTTPX,
    "httpcore": _HTTPX,
    "aiohttp": {
        "ServerTimeoutError": Outcome.TIMEOUT,
        "ServerDisconnectedError": Outcome.RESET,
        "ClientConnectorError": Outcome.UNREACHABLE,
        "ClientOSError": Outcome.RESET,
        "ClientPayloadError": Outcome.RESET,
        "ContentTypeError": Outcome.GARBAGE,
    },
    "litellm": {"Timeout": Outcome.TIMEOUT, "APIConnectionError": Outcome.UNREACHABLE},
    "pydantic_ai": {
        "ModelTimeoutError": Outcome.TIMEOUT,
        "ModelRequestTimeout": Outcome.TIMEOUT,
        "UnexpectedModelBehavior": Outcome.GARBAGE,
        "ModelAPIError": Outcome.UNREACHABLE,
    },
    "requests": {
        "Timeout": Outcome.TIMEOUT,
        "ChunkedEncodingError": Outcome.RESET,
        "ConnectionError": Outcome.UNREACHABLE,
    },
    "urllib": {"URLError": Outcome.UNREACHABLE},
    "http": {"HTTPException": Outcome.RESET},
}
# These libraries talk to the server. Agents' libraries also run the caller's tools, so their frames show nothing.
_ON_THE_WIRE: Final = frozenset(
    {"openai", "httpx", "httpcore", "aiohttp", "requests", "urllib3", "urllib", "http"}
)
# Their exceptions name a made-up URL.
_NO_URLS: Final = frozenset({"litellm"})


def outcome_of(error: BaseException, base_url: str | None = None) -> Outcome | None:
    """Return the class of *error*, or None if it is not a failure of the model at *base_url*.

    None means a bug, a cancellation, or an error outside the call, such as a file, JSON or another server.
    """
    if not isinstance(error, Exception) or isinstance(error, asyncio.CancelledError):
        return None
    libraries = [(_library(kind.__module__), kind.__name__) for kind in type(error).__mro__]
    known = [(library, name) for library, name in libraries if library in _BY_LIBRARY]
    if known:
        if base_url and known[0][0] not in _NO_URLS and _is_elsewhere(error, base_url):
            return None
        return _by_status(error) or _by_name(known)
    if not _on_the_wire(error.__traceback__):
        # The caller's own deadline (`asyncio.timeout`) cancelled the library.
        cause = error.__cause__
        if not isinstance(error, TimeoutError) or not isinstance(cause, asyncio.CancelledError):
            return None
        return Outcome.TIMEOUT if _on_the_wire(cause.__traceback__) else None
    return _of_python(error)


def _of_python(error: Exception) -> Outcome | None:
    match error:
        case TimeoutError():
            return Outcome.TIMEOUT
        case ConnectionRefusedError() | socket.gaierror():
            return Outcome.UNREACHABLE
        case ConnectionError():
            return Outcome.RESET
        case _:
            return None


def _by_status(error: Exception) -> Outcome | None:
    response = getattr(error, "response", None)
    for holder in (error, response):
        for name in ("status_code", "status", "code"):
            status = getattr(holder, name, None)
            if isinstance(status, int) and status >= 400:
                other = Outcome.SERVER_ERROR if status >= 500 else Outcome.BAD_REQUEST
                return _BY_STATUS.get(status, other)
    return None


def _by_name(known: list[tuple[str, str]]) -> Outcome | None:
    for library, name in known:
        if name in _BY_LIBRARY[library]:
            return _BY_LIBRARY[library][name]
    return None


def _is_elsewhere(error: Exception, base_url: str) -> bool:
    """Return whether *error* is known to be of a request to another server."""
    asked: Any = None
    with suppress(RuntimeError):  # httpx: none is set
        request = getattr(error, "request", None)
        asked = getattr(request, "url", None)
    if asked is None:
        asked = getattr(getattr(error, "request_info", None), "real_url", None)
    return asked is not None and _place(str(asked)) != _place(base_url)


def _place(url: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None, None


def _on_the_wire(trace: TracebackType | None) -> bool:
    return any(_library(name) in _ON_THE_WIRE for name in _modules(trace))


def _modules(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        yield trace.tb_frame.f_globals.get("__name__", "")
        trace = trace.tb_next


def _library(module: str) -> str:
    return module.partition(".")[0]
