"""List prices from a package that need not be there."""

import subprocess
import sys

import pytest

from vedette import providers
from vedette.clock import SystemClock
from vedette.endpoints import OpenEndpoint
from vedette.providers import Access, Described
from vedette.settings import EndpointSettings, Rates
from vedette.types import Price
from vedette_discoverer.handlers import price_of
from vedette_discoverer.prices import listed_price

RATES = Rates(input_usd_per_mtok=1, output_usd_per_mtok=2)
TOLD = Price(input_usd_per_mtok=3, output_usd_per_mtok=4, source="service")


def test_a_listed_model_has_its_price_with_source() -> None:
    """Of the service behind the URL, in dollars for a million tokens, below every tier."""
    price = listed_price("gpt-4o-mini", url="https://api.openai.com/v1")
    assert price is not None
    assert price.input_usd_per_mtok > 0
    assert price.output_usd_per_mtok > price.input_usd_per_mtok
    assert price.source.startswith("genai-prices ")
    assert price.source.endswith("openai/gpt-4o-mini")


def test_what_is_in_no_table_has_no_price() -> None:
    """Neither an unknown model nor an unknown service is taken for a known one."""
    assert listed_price("nope", url="https://api.openai.com/v1") is None
    assert listed_price("gpt-4o-mini", url="https://models.example.org/v1") is None


def test_the_package_is_imported_only_when_asked() -> None:
    """Running the discoverer needs no prices."""
    seen = "import sys, vedette_discoverer.app; sys.exit('genai_prices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", seen], check=False).returncode == 0


@pytest.mark.parametrize(
    ("url", "rates", "told", "source"),
    [
        ("https://api.openai.com/v1", None, None, "genai-prices"),
        ("https://api.openai.com/v1", None, TOLD, "service"),
        ("https://api.openai.com/v1", RATES, TOLD, "configuration"),
        ("http://localhost:8000", None, None, None),
    ],
)
async def test_the_configuration_beats_the_list(
    url: str, rates: Rates | None, told: Price | None, source: str | None
) -> None:
    """And one's own server has no list price, whatever the model is called."""
    provider = providers.load("openai-compatible")
    async with provider.open(Access(endpoint="e", url=url), clock=SystemClock()) as opened:
        endpoint = OpenEndpoint(
            name="e",
            settings=EndpointSettings(provider="openai-compatible", url=url, price=rates),
            provider=provider,
            endpoint=opened,
            clock=SystemClock(),
        )
        price = await price_of(endpoint, "gpt-4o-mini", Described(price=told))
    assert (price.source.partition(" ")[0] if price else None) == source
