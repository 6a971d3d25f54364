"""From an endpoint's settings to what opens it: the one place where provider secrets are read."""

from vedette.providers import Access
from vedette.providers._http import basic
from vedette.settings import EndpointSettings, Outbound, Secret


def access(name: str, endpoint: EndpointSettings, outbound: Outbound = Outbound()) -> Access:  # noqa: B008
    """Return how to reach the endpoint *name*. Raises ConfigurationError for a secret that cannot be read."""
    where = f"endpoints.{name}"
    headers = {
        header: value.read(f"{where}.headers.{header}") if isinstance(value, Secret) else value
        for header, value in endpoint.headers.items()
    }
    if endpoint.api_key is not None:
        headers["Authorization"] = f"Bearer {endpoint.api_key.read(f'{where}.api_key')}"
    if endpoint.basic is not None:
        password = endpoint.basic.password.read(f"{where}.basic.password")
        headers["Authorization"] = basic(endpoint.basic.user, password)
    return Access(
        endpoint=name,
        url=endpoint.url,
        headers=headers,
        ca_file=endpoint.ca_file,
        verify=endpoint.verify,
        timeout_s=endpoint.timeout_s,
        flavour=endpoint.flavour,
        allowed=outbound.allow,
    )
