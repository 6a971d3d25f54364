"""URLs of endpoints as operators paste them: unix sockets, and queries that belong to the address. Pure.

A unix socket is written as `http+unix:///run/llama.sock`, followed by a path on the server. It may also be
percent-encoded in place of the host (`http+unix://%2Frun%2Fllama.sock/v1`, the form of requests-unixsocket).
"""

import ipaddress
import re
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

_SCHEME: Final = "http+unix"
_SOCKET: Final = re.compile(r"(/.*?\.(?:sock|socket))(/.*)?\Z")
_UNFILLED: Final = re.compile(r"<[^>]*>|\$\{[^}]*\}|\{[^}]*\}|\$[A-Za-z_]\w*")
_BROKEN_SCHEME: Final = re.compile(r"(https?)(?::/?|/{1,2})([^/:].*)\Z")
# Parameters for the version of a service's API. Others are refused: they may be keys, and events contain the URL.
_OF_THE_ADDRESS: Final = frozenset({"api-version"})


def socket_of(url: str) -> tuple[str, str] | None:
    """Return the path of the unix socket in *url*, and the path on its server; None if *url* is of another scheme."""
    parts = urlsplit(url)
    if parts.scheme != _SCHEME:
        return None
    if parts.netloc:
        return unquote(parts.netloc), parts.path
    path = unquote(parts.path)
    found = _SOCKET.match(path)
    return (found[1], found[2] or "") if found else (path, "")


def http_url(url: str) -> str:
    """Return *url* without its query, as an HTTP client needs it. The URL of a unix socket gets the host localhost."""
    base = url.partition("?")[0]
    socket = socket_of(base)
    return base if socket is None else f"http://localhost{socket[1]}"


def query_of(url: str) -> dict[str, str]:
    """Return the query parameters of *url*. Every request to the endpoint carries them."""
    return {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}


def is_this_machine(host: str) -> bool:
    """Return whether *host* is this machine: localhost, a loopback address, or `0.0.0.0` or `::`."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


def origin(url: str) -> str:
    """Return scheme, host and port of *url*, for messages about a URL whose path is a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def leads_elsewhere(url: object, before: str) -> bool:
    """Return whether *url* is a text with another host or port than *before*, or drops the TLS of *before*."""
    if not isinstance(url, str):
        return False
    secured = before.lower().startswith("https://") and not url.lower().startswith("https://")
    return secured or _place(url) != _place(before)


def _place(url: str) -> str:
    try:
        return urlsplit(http_url(url)).netloc.lower()
    except ValueError:
        return url  # not a URL: refused elsewhere


def malformed(url: str) -> str | None:
    """Return why *url* is not a URL, or None. The text does not quote *url*."""
    try:
        parts = urlsplit(url)
        _ = parts.hostname, parts.port
    except ValueError as error:
        return f"is not a URL: {error}"
    if any(c.isspace() or not c.isprintable() for c in url):
        return "is not a URL: it contains a space or a character that is not printable"
    return None


def wrong_with(url: str) -> str | None:
    """Return why *url* cannot be the URL of an endpoint, or None."""
    if problem := malformed(url):
        return f"{url!r} {problem}"
    parts = urlsplit(url)
    if parts.scheme == _SCHEME:
        if not (socket_of(url) or ("",))[0].startswith("/"):
            return f"{url!r} names no socket; write {_SCHEME}:///path/to/the.sock"
    elif parts.scheme not in ("http", "https") or not parts.hostname:
        return f"{url!r} is not an http or https URL{_near(url)}"
    if parts.username or parts.password:
        return 'holds a secret; use api_key = { env = "NAME" } or basic = { user = …, password = … }'
    if not query_of(url).keys() <= _OF_THE_ADDRESS:
        return (
            "has a query; a URL is published, so its query may contain only api-version. "
            'Send a key as headers = { X-Key = { env = "NAME" } }'
        )
    if parts.fragment:
        return f"has a part after #, which is the address of a page; write {url.partition('#')[0]!r}"
    if unfilled := _UNFILLED.search(parts.netloc):
        return f"{url!r} is not a URL: {_fill(unfilled[0])}"
    return None


def _fill(placeholder: str) -> str:
    return f"{placeholder!r} stands for a value; put the value there"


def _near(url: str) -> str:
    path = url.removeprefix("unix:").lstrip("/")
    if url.startswith(("unix:", "/")) and path:
        return f"; for a unix socket write '{_SCHEME}:///{path}'"
    if url != (bare := url.strip("\"'`")):
        return f"; it has quotes, write {bare!r}"
    if unfilled := _UNFILLED.search(url):
        return f"; {_fill(unfilled[0])}"
    if "://" in url or not url:
        return ""
    broken = _BROKEN_SCHEME.match(url)
    near = f"{broken[1]}://{broken[2]}" if broken else f"http://{url}"
    return f"; did you mean {near!r}?"
