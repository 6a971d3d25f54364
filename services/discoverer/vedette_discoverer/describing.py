"""Describes a listed model: its facts with their sources, its kind, its licence, its price."""

import asyncio
from typing import Any

from vedette.endpoints import OpenEndpoint
from vedette.providers import Described, Listing
from vedette.types import ModelInfo, ModelRef, Price
from vedette_discoverer.capabilities import infer
from vedette_discoverer.licences import identifier
from vedette_discoverer.names import Identity, identify
from vedette_discoverer.prices import costs_nothing, listed_price


async def price_of(endpoint: OpenEndpoint, name: str, described: Described) -> Price | None:
    """Return the price of *name*: as configured, else as the service reports, else the list price of a paid service."""
    if endpoint.settings.price is not None:
        return endpoint.settings.price.price
    if described.price is not None:
        return described.price
    if endpoint.endpoint.features.free_to_ask:
        return None
    # In a thread: the first look-up imports the tables, which takes most of a second.
    return await asyncio.to_thread(listed_price, name, url=endpoint.settings.url)


def compose(
    endpoint: OpenEndpoint,
    entry: Listing,
    described: Described,
    problem: str | None,
    *,
    price: Price | None = None,
) -> ModelInfo:
    """Return the facts of a listed model: from its description, else from its listing, else from its name.

    *problem* says why the server did not describe the model. Values are not checked here: providers drop those of a
    wrong shape.
    """
    kind, claims = infer(described, entry.name)
    configured = endpoint.settings
    identity, facts, sources = _facts(entry, described)
    if kind != "embedding":
        facts.pop("embedding_dimensions", None)  # the width of an inner layer: the model returns no vectors
    free, why = costs_nothing(
        configured.price,
        facts.get("free"),
        features=endpoint.endpoint.features,
        locality=facts["locality"],
    )
    facts["free"], sources["free"] = free, why or sources.get("free", "")
    return ModelInfo(
        model=ModelRef(endpoint.name, entry.name),
        provider=configured.provider,
        url=configured.url,
        api=endpoint.provider.api,
        kind=kind,
        digest=entry.digest,
        canonical=identity.canonical,
        capabilities=claims,
        price=price,
        base_url=described.base_url,
        key_ref=configured.api_key.reference if configured.api_key else None,
        described=problem is None,
        description_error=problem,
        sources={name: source for name, source in sources.items() if name in facts},
        **facts,
    )


def _facts(entry: Listing, described: Described) -> tuple[Identity, dict[str, Any], dict[str, str]]:
    """Return which model *entry* is, its facts by field of ModelInfo, and the source of each. Reports replace names."""
    reported = {"locality": described.locality, **entry.facts, **described.facts}
    identity = identify(
        entry.name,
        origin=described.origin,
        kind=described.kind,
        parameters=reported.get("parameters"),
        told=reported.get("quantization"),
    )
    facts = {**identity.facts, **reported}
    sources = {**identity.sources, **dict.fromkeys(entry.facts, "listing"), **described.sources}
    if "license" in facts and (licence := identifier(facts["license"])) != facts["license"]:
        sources["license"] = f"{sources['license']}: {facts['license']}"
        facts["license"] = licence
    return identity, facts, sources
