"""Reads a LiteLLM proxy's deployments: prices, kinds, and the real models behind its names.

From recorded replies of `/v1/models` and `/model/info` (PyPI litellm[proxy], 2026-11-29). Vedette never requests
`/health`, because it calls every model.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

from vedette.providers import Described
from vedette.providers._entries import Entry, kind_and_claims
from vedette.providers._lenient import decimal, is_name, known, mapping, number, sequence, text, tokens
from vedette.providers._places import is_ours
from vedette.types import Capability, Claim, Evidence, Locality, Price

T = TypeVar("T")
SOURCE: Final = "LiteLLM /model/info"
_ABILITIES: Final[Mapping[str, Capability]] = {
    "supports_function_calling": Capability.TOOLS,
    "supports_vision": Capability.VISION,
    "supports_response_schema": Capability.JSON_SCHEMA,
    "supports_reasoning": Capability.THINKING,
}


def by_name(body: Any) -> dict[str, Entry]:
    """Return the deployments in a reply of `/model/info` by model name; several deployments may share a name.

    `guess` is True for names that LiteLLM made from a wildcard such as `openai/*`, with its price table.
    """
    found: dict[str, list[Entry]] = defaultdict(list)
    names: dict[str, set[str]] = defaultdict(set)
    for entry in map(mapping, sequence(mapping(body).get("data"))):
        if is_name(entry.get("model_name")) and "litellm_params" in entry:
            found[entry["model_name"]].append(entry)
            names[_id(entry)].add(entry["model_name"])
    return {
        name: {
            "deployments": entries,
            "guess": all(_model(one) == name and len(names[_id(one)]) > 1 for one in entries),
        }
        for name, entries in found.items()
    }


def _id(deployment: Entry) -> str:
    """Return the id of *deployment*. All names made from one wildcard have the same id."""
    return text(mapping(deployment.get("model_info")).get("id")) or ""


def _model(deployment: Entry) -> str | None:
    return text(mapping(deployment.get("litellm_params")).get("model"))


def read(entry: Entry, details: Entry) -> Described:
    """Return the facts that all deployments (*details*) behind the listed *entry* share."""
    deployments = list(map(mapping, sequence(details.get("deployments"))))
    infos = [mapping(one.get("model_info")) for one in deployments]
    mode = _common(text(info.get("mode"), 64) for info in infos)
    kind, claims = kind_and_claims({"mode": mode} if mode else entry, SOURCE if mode else "/v1/models")
    for field, capability in _ABILITIES.items():
        able = _common(info.get(field) for info in infos)
        if isinstance(able, bool):
            claims[capability] = Claim(value=able, evidence=Evidence.DECLARED, source=SOURCE)
    contexts = [tokens(info.get("max_input_tokens")) for info in infos]
    price = _price(infos)
    free = bool(infos) and all(map(_costs_nothing, infos))
    facts = known(
        served_context_tokens=min((n for n in contexts if n), default=None) if all(contexts) else None,
        free=free,
        behind=_common(map(_base, deployments)),
    )
    return Described(
        kind=kind,
        facts=facts,
        sources=dict.fromkeys(facts, SOURCE)
        | {"free": f"{SOURCE}: price 0" if free else "LiteLLM passes requests on"},
        claims=claims,
        locality=_locality(deployments),
        origin=_common(_real_model(one) for one in deployments),
        price=price,
    )


def _common(values: Iterable[T | None]) -> T | None:
    """Return the value if all *values* are equal, else None."""
    given = list(values)
    return given[0] if given and all(value == given[0] for value in given) else None


def _real_model(deployment: Entry) -> str | None:
    """Return the model name of *deployment* without LiteLLM's prefix for the provider."""
    named = _model(deployment)
    provider, slash, name = (named or "").partition("/")
    return name if slash and provider else named


def _base(deployment: Entry) -> str | None:
    """Return the URL of *deployment*, or None if it has none of its own."""
    return text(mapping(deployment.get("litellm_params")).get("api_base"))


def _price(infos: list[Entry]) -> Price | None:
    """Return the highest price of the deployments; None if one of them has no price."""
    asked = [_cost(info.get("input_cost_per_token")) for info in infos]
    answered = [_cost(info.get("output_cost_per_token")) for info in infos]
    rates = [rate for rate in (*asked, *answered) if rate is not None]
    if not rates or len(rates) < 2 * len(infos) or max(rates) >= 1:
        return None
    return Price(
        input_usd_per_mtok=round(1e6 * max(rates[: len(infos)]), 6),
        output_usd_per_mtok=round(1e6 * max(rates[len(infos) :]), 6),
        source=SOURCE,
    )


def _costs_nothing(info: Entry) -> bool:
    """Return whether a deployment is free: its tokens, and everything else that it prices, cost 0."""
    costs = {name: _cost(value) for name, value in info.items() if "cost" in name and value is not None}
    per_token = (costs.get("input_cost_per_token"), costs.get("output_cost_per_token"))
    return per_token == (0, 0) and all(cost == 0 for cost in costs.values())


def _cost(value: object) -> float | None:
    """Return a price as a number, or None. It may be a text, because YAML reads `1e-6` (no decimal point) as text."""
    return number(decimal(value) if isinstance(value, str) else value)


def _locality(deployments: list[Entry]) -> Locality:
    """Return "local" if every deployment has a URL at an address of your own, else "remote"; "unknown" without any."""
    bases = list(map(_base, deployments))
    if not bases:
        return "unknown"
    return "local" if all(base is not None and is_ours(base) for base in bases) else "remote"
