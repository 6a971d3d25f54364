"""From an endpoint's settings to what opens it: the one place where provider secrets are read."""

import re

import msgspec

from vedette.providers import Access
from vedette.providers._http import basic
from vedette.providers.redaction import credential
from vedette.settings import EndpointSettings, Outbound, Secret

# Headers that carry a credential also when it is written into the configuration as it is.
_CREDENTIAL = re.compile("auth|key|token|secret|password|cookie", re.IGNORECASE)


def access(name: str, endpoint: EndpointSettings, outbound: Outbound = Outbound()) -> Access:  # noqa: B008
    """Return how to reach the endpoint *name*. Raises ConfigurationError for a secret that cannot be read."""
    where = f"endpoints.{name}"
    headers: dict[str, str] = {}
    secrets: list[str] = []
    for header, value in endpoint.headers.items():
        headers[header] = value.read(f"{where}.headers.{header}") if isinstance(value, Secret) else value
        if isinstance(value, Secret) or _CREDENTIAL.search(header):
            secrets.append(credential(headers[header]))
    if endpoint.api_key is not None:
        key = endpoint.api_key.read(f"{where}.api_key")
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


def of_load(name: str, endpoint: EndpointSettings, outbound: Outbound = Outbound()) -> Access | None:  # noqa: B008
    """Return how to reach the page that reports the load of the endpoint *name*, or None where there is none.

    The credentials of the endpoint itself do not go there. Raises ConfigurationError.
    """
    if endpoint.load.url is None:
        return None
    key = endpoint.load.api_key
    elsewhere = msgspec.structs.replace(endpoint, url=endpoint.load.url, api_key=key, basic=None, headers={})
    return access(f"{name}.load", elsewhere, outbound)
