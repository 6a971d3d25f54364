"""Converts an endpoint's settings to its `Access`. Only this module reads secrets of endpoints."""

import re

import msgspec

from vedette.errors import ConfigurationError
from vedette.providers import Access
from vedette.providers._http import basic
from vedette.providers.redaction import credential
from vedette.settings import EndpointSettings, Outbound, Secret

_UNSENDABLE = re.compile(r"[^\t\x20-\x7e]")
_NOT_OF_A_NAME = re.compile(r"[^!#$%&'*+.^_`|~0-9A-Za-z-]")  # not in a token [RFC 9110, section 5.6.2]
_OF_THE_BODY = frozenset({"content-length", "transfer-encoding"})
_SCHEME = re.compile(r"bearer +", re.IGNORECASE)  # the operator pasted the whole header as api_key
# Names of headers whose value is redacted, even if it is plain text in the configuration.
_CREDENTIAL = re.compile("auth|key|token|secret|password|cookie", re.IGNORECASE)


def access(name: str, endpoint: EndpointSettings, outbound: Outbound = Outbound()) -> Access:  # noqa: B008
    """Return how to reach the endpoint *name*.

    Raises ConfigurationError for a secret that cannot be read, and for a header that HTTP cannot carry.
    """
    where = f"endpoints.{name}"
    headers: dict[str, str] = {}
    secrets: list[str] = []
    for header, value in endpoint.headers.items():
        read = value.read(f"{where}.headers.{header}") if isinstance(value, Secret) else value
        _check_name(f"{where}.headers.{header}", header)
        headers[header] = _sendable(f"{where}.headers.{header}", read)
        if isinstance(value, Secret) or _CREDENTIAL.search(header):
            secrets.append(credential(headers[header]))
    if endpoint.api_key is not None:
        pasted = endpoint.api_key.read(f"{where}.api_key")
        key = _sendable(
            f"{where}.api_key", _SCHEME.sub("", pasted, count=1) if _SCHEME.match(pasted) else pasted
        )
        headers["Authorization"] = f"Bearer {key}"
        secrets.append(key)
    if endpoint.basic is not None:
        password = endpoint.basic.password.read(f"{where}.basic.password")
        headers["Authorization"] = basic(endpoint.basic.user, password)
        secrets += [password, f"{endpoint.basic.user}:{password}", credential(headers["Authorization"])]
    return Access(
        endpoint=name,
        url=endpoint.url,
        headers=headers,
        secrets=tuple(secrets),
        ca_file=endpoint.ca_file,
        verify=endpoint.verify,
        timeout_s=endpoint.timeout_s,
        flavour=endpoint.flavour,
        allowed=outbound.allow,
        locality=endpoint.locality,
        models=endpoint.models,
    )


def _check_name(where: str, name: str) -> None:
    """Raise ConfigurationError if an endpoint may not set a header with this *name*. *where* is the setting."""
    if not name:
        problem = "a header has no name; write one, such as X-Team, or leave it out"
    elif wrong := _NOT_OF_A_NAME.search(name):
        problem = (
            f"the character at place {wrong.start() + 1} of {len(name)} is {_kind(wrong[0])}, which no name of an "
            "HTTP header can have; write letters, digits and -"
        )
    elif name.lower() in _OF_THE_BODY:
        problem = "Vedette sets this header itself, because it gives the length of the request; leave it out"
    else:
        return
    raise ConfigurationError(where=where, problem=problem)


def _sendable(where: str, value: str) -> str:
    """Return *value* if a header can carry it, else raise ConfigurationError for the setting *where*.

    The error does not quote the value. It names the place and the kind of the wrong character.
    """
    if wrong := _UNSENDABLE.search(value):
        problem = (
            f"the character at place {wrong.start() + 1} of {len(value)} is {_kind(wrong[0])}, which no HTTP "
            "header can carry; copy it again, as plain text"
        )
        raise ConfigurationError(where=where, problem=problem)
    if value != value.strip():
        problem = "it begins or ends with a space, which no HTTP header can carry; remove it"
        raise ConfigurationError(where=where, problem=problem)
    return value


def _kind(character: str) -> str:
    if character > "\x7f":
        return "not ASCII"
    if character.isprintable():
        return "a space" if character == " " else f"a {character}"
    return "a control character, such as the end of a line"


def of_load(name: str, endpoint: EndpointSettings, outbound: Outbound = Outbound()) -> Access | None:  # noqa: B008
    """Return how to reach the page (`load.url`) with the load of the endpoint *name*; None if none is configured.

    The credentials of the endpoint are not sent to that page. Raises ConfigurationError.
    """
    if endpoint.load.url is None:
        return None
    key = endpoint.load.api_key
    elsewhere = msgspec.structs.replace(endpoint, url=endpoint.load.url, api_key=key, basic=None, headers={})
    return access(f"{name}.load", elsewhere, outbound)
