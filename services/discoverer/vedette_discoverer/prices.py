"""The price of a model: whether a call is known to be free, and list prices of remote models.

List prices come from PyPI's `genai-prices` if it is installed. The package is imported at the first query, and only its
bundled data is used.
"""

from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec

from vedette.providers import Features
from vedette.settings import Rates
from vedette.types import Locality, Price

_PACKAGE = "genai_prices"
_TOKENS = 1000  # so few that the lowest tier applies


def listed_price(name: str, *, url: str) -> Price | None:
    """Return the list price of *name* at the service behind *url*; None without the package or an entry for it."""
    if find_spec(_PACKAGE) is None:
        return None
    package = import_module(_PACKAGE)
    usage = package.Usage(input_tokens=_TOKENS, output_tokens=_TOKENS)
    try:
        found = package.calc_price(usage, name, provider_api_url=url)
    except LookupError:
        return None
    return Price(
        input_usd_per_mtok=float(found.input_price * (1_000_000 // _TOKENS)),
        output_usd_per_mtok=float(found.output_price * (1_000_000 // _TOKENS)),
        # The data has no date of its own: it is that of the release.
        source=f"genai-prices {version(_PACKAGE)}, {found.provider.id}/{found.model.id}",
    )


def costs_nothing(
    rates: Rates | None, declared: bool | None, *, features: Features, locality: Locality
) -> tuple[bool, str | None]:
    """Return whether a call is known to cost nothing, and why, unless the provider *declared* so itself.

    Configured *rates* take priority, then what the provider *declared*, then the endpoint's *features* and *locality*.
    Pure.
    """
    if rates is not None:
        free = not (rates.input_usd_per_mtok or rates.output_usd_per_mtok)
        return free, "configuration: price"
    if declared is not None:
        return declared, None
    if not features.free_to_ask:
        return False, "a service beyond your own machines"
    return locality != "remote", "runs elsewhere" if locality == "remote" else "runs on a machine of your own"
