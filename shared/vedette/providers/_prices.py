"""Prices of tokens in entries of a listing, in any unit. Pure.

Fields by the listings of OpenRouter, Vercel, Together, DeepInfra, Venice, Requesty, Hugging Face, 2026-11-29.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from vedette.providers._entries import Entry
from vedette.providers._lenient import decimal, mapping, number, sequence
from vedette.types import Price

# Field names for the prices of input and output tokens: OpenRouter, Vercel, Together, DeepInfra, Venice, Requesty,
# models.dev, Hugging Face.
_PRICES: Final = (
    ("prompt", "completion"),
    ("input", "output"),
    ("input_tokens", "output_tokens"),
    ("input_price", "output_price"),
    ("prompt_price", "completion_price"),
)
# The higher of the two rates (input, output) in USD. Without a unit, a rate below the first is for one token, and a
# rate from the second on is for a million tokens.
_MAX_FOR_A_TOKEN: Final = 1e-4
_MIN_FOR_A_MILLION: Final = 0.1
_MIN_PER_MTOK, _MAX_PER_MTOK = 1e-3, 2e3  # USD for a million tokens; outside, the named unit is wrong
# USD for a million tokens, for all models of one listing. In July 2026 the range is 0.01 to 600 USD.
_MIN_OF_LISTING, _MAX_OF_LISTING = 5e-3, 1e3
_MIN_CERTAIN: Final = 2  # rates: a single one may be a placeholder, or a model cheaper than all earlier ones
_MIN_SHARE_IMPOSSIBLE: Final = 0.25  # from this share of impossible prices on, a named unit is not in USD
_IMPOSSIBLE: Final = "vedette: its price cannot be in the unit that it names"  # marks an entry
_UNITS: Final = ("unit", "units", "price_unit", "pricing_unit", "unit_type", "per")
_CURRENCIES: Final = ("currency", "price_currency", "pricing_currency")
_CURRENCY: Final = ("usd", "us$", "$")  # some listings write these as the unit
# Field names with a unit, in lower case without `_`: LiteLLM's `input_cost_per_token`, AnyRouter's `output_per_1m`.
_RATE: Final = re.compile(r"(input|prompt|output|completion)(?:tokens?)?(?:price|cost|rate|usd)*(per.+)")
_ASKS: Final = ("input", "prompt")
_UNIT: Final = re.compile(
    r"(?:(?:in |us)?(?:usd|\$|dollars?))?[ _]*(?:per|/|for)?[ _]*(?:"
    r"(?P<million>(?:1 ?)?m|(?:1|one|a)?[ _]?million|1[ ,_]?000[ ,_]?000(?:\.0)?|1e6)"
    r"|(?P<thousand>(?:1 ?)?k|(?:1|one|a)?[ _]?thousand|1[ ,_]?000(?:\.0)?|1e3)|(?P<token>(?:1|one|a)?(?=[ _]?tok|\Z)))"
    r"(?:[ _-]?tok(?:en)?s?)?"
)
_TOKENS_OF: Final = {"million": 1e6, "thousand": 1e3, "token": 1.0}


def price(entry: Entry, source: str) -> Price | None:
    """Return the price of tokens in *entry* (USD for a million tokens); of several providers, the highest.

    Listings name a price for one token, a thousand or a million, as a number or as text. Without a unit, the size of
    the price decides. None if there is no price in USD, or if its unit is not clear. OpenRouter's router has the
    price -1, which means none.
    """
    if _IMPOSSIBLE in entry:
        return None
    by_provider = [_own_price((mapping(one), entry), source) for one in sequence(entry.get("providers"))]
    given = [one for one in by_provider if one is not None]
    if given and len(given) == len(by_provider):
        return Price(
            input_usd_per_mtok=max(one.input_usd_per_mtok for one in given),
            output_usd_per_mtok=max(one.output_usd_per_mtok for one in given),
            source=source,
        )
    return _own_price((entry,), source)


def _own_price(entries: tuple[Entry, ...], source: str) -> Price | None:
    """Return the price in the first of *entries*. The others are the objects around it, which may name the unit."""
    if (found := _listed(entries)) is None:
        return None
    place, unit, rates = found
    around = (place, *entries)
    scale = _scale(unit or _stated(around, _UNITS), max(rates))
    is_usd = (_stated(around, _CURRENCIES) or "usd") in _CURRENCY
    return _per_million(rates, scale, _usd(place.get("request")), source) if scale and is_usd else None


def _listed(entries: tuple[Entry, ...]) -> tuple[Entry, str | None, list[float]] | None:
    """Return the rates in the first of *entries*: the object that has them, the unit in their names, and the rates.

    The unit is None if the names have none. The rates are those of input and output tokens.
    """
    entry = entries[0]
    inner = (mapping(entry.get(name)) for name in ("metadata", "model_spec"))
    places = [mapping(place.get(name)) for place in (entry, *inner) for name in ("pricing", "cost", "price")]
    for place in filter(None, (*places, entry)):
        if by_name := _with_unit(place):
            return place, *by_name
        for asked, answered in _PRICES:
            if asked in place and answered in place:
                rates = [rate for name in (asked, answered) if (rate := _usd(place[name])) is not None]
                if len(rates) == len(_PRICES[0]):
                    return place, None, rates
    return None


def _with_unit(place: Entry) -> tuple[str, list[float]] | None:
    """Return the unit and the rates (input, output) if the field names in *place* have a unit, else None."""
    found: dict[str, dict[bool, float]] = {}
    for name, value in place.items():
        named = _RATE.fullmatch(name.lower().replace("_", ""))
        if named and _UNIT.fullmatch(named[2]) and (rate := _usd(value)) is not None:
            found.setdefault(named[2], {}).setdefault(named[1] in _ASKS, rate)
    return next(
        ((unit, [rates[True], rates[False]]) for unit, rates in found.items() if len(rates) == len(_ASKS)),
        None,
    )


def with_unit_of_listing(entries: Sequence[Entry]) -> list[Entry]:
    """Return the *entries* of one listing; prices without a unit get the one unit that fits all of them, if any.

    Alone, 0.05 USD may be for a thousand tokens or for a million. If another model of the listing costs 2 USD, both
    are for a million.
    """
    entries = _without_impossible_units(entries)
    silent = [_silent(entry) for entry in entries]
    scale = _scale_of_listing([rate for rates in silent for rate in rates if rate])
    unit = next((name for name, tokens in _TOKENS_OF.items() if scale == 1e6 / tokens), None)
    if unit is None:
        return list(entries)
    return [
        {**entry, "price_unit": unit} if rates else entry
        for entry, rates in zip(entries, silent, strict=True)
    ]


def _without_impossible_units(entries: Sequence[Entry]) -> list[Entry]:
    """Return *entries*; prices are marked as impossible if many prices with the same unit cannot be in USD.

    Novita writes 1/10,000 USD into `input_token_price_per_m`: a price of 40,000 shows that 200 does not mean 200 USD.
    """
    named: dict[str, dict[float, list[int]]] = {}  # by unit and rate: aliases of one model count once
    for place, entry in enumerate(entries):
        if (found := _listed((entry,))) is not None and found[1] is not None and max(found[2]):
            named.setdefault(found[1], {}).setdefault(max(found[2]), []).append(place)
    wrong: set[int] = set()
    for unit, rates in named.items():
        impossible = sum(_scale(unit, rate) is None for rate in rates)
        if impossible >= max(_MIN_CERTAIN, _MIN_SHARE_IMPOSSIBLE * len(rates)):
            wrong.update(place for places in rates.values() for place in places)
    return [{**entry, _IMPOSSIBLE: True} if place in wrong else entry for place, entry in enumerate(entries)]


def _silent(entry: Entry) -> list[float]:
    """Return the higher rate of *entry*, and of each provider in it, if nothing names its unit."""
    places = ((entry,), *((mapping(one), entry) for one in sequence(entry.get("providers"))))
    found = ((place, _listed(place)) for place in places)
    return [
        max(listed[2])
        for place, listed in found
        if listed is not None
        and listed[1] is None
        and (_stated((listed[0], *place), _UNITS) or "usd") in _CURRENCY
    ]


def _scale_of_listing(highest: Collection[float]) -> float | None:
    """Return the factor that converts the rates of one listing to a million tokens; None if it is not clear.

    *highest* holds the higher rate of each model (USD), without zeros.
    """
    if not highest:
        return None
    rates = set(highest)  # aliases of one model count once
    scales = _fitting(*rates)
    own = [scale for rate in rates if (scale := _scale(None, rate)) is not None]
    if len(set(own)) > 1:
        return None  # some rates can only be for one token, others only for a million
    if own and own[0] in scales:
        return own[0]
    # No single rate has this scale by its size alone. More rates must support it than support another scale.
    certain = sum(_fitting(rate) == scales for rate in rates)
    return scales[0] if len(scales) == 1 and certain >= _MIN_CERTAIN and certain > len(own) else None


def _fitting(*rates: float) -> list[float]:
    """Return all factors to a million tokens under which *rates* are possible prices of models in one listing."""
    return [
        scale
        for scale in (1e6 / tokens for tokens in _TOKENS_OF.values())
        if all(_MIN_OF_LISTING <= scale * rate <= _MAX_OF_LISTING for rate in rates)
    ]


def _stated(places: Iterable[Entry], names: Collection[str]) -> str | None:
    """Return the value of the first of *places* that has one of the fields *names*, in lower case, or None."""
    for place in places:
        for name in names:
            if (found := place.get(name)) not in (None, ""):
                return str(found).strip().lower()[:64]
    return None


def _scale(unit: str | None, highest: float) -> float | None:
    """Return the factor that converts a rate to a million tokens; None if it is not clear.

    *unit* is the unit in the listing, *highest* the higher of the two rates (USD).
    """
    if unit is None or unit in _CURRENCY:
        # Between the limits, the unit is not clear: a thousand tokens, a million of a cheap model, or a token of a
        # dear one.
        scale = 1e6 if highest < _MAX_FOR_A_TOKEN else 1.0 if highest >= _MIN_FOR_A_MILLION else None
    else:
        found = _UNIT.fullmatch(unit)
        scale = 1e6 / _TOKENS_OF[found.lastgroup] if found and found.lastgroup else None
    if scale is None or not highest:
        return scale
    return scale if _MIN_PER_MTOK <= scale * highest <= _MAX_PER_MTOK else None


def _per_million(rates: list[float], scale: float, fee: float | None, source: str) -> Price:
    if fee:
        source = f"{source}, plus {fee:g} USD for each request"
    asked, answered = (round(scale * rate, 6) for rate in rates)
    return Price(input_usd_per_mtok=asked, output_usd_per_mtok=answered, source=source)


def _usd(value: object) -> float | None:
    """Return *value* in USD, or None. It may be a number, a text (`"0.15"`, `"$0.15"`), or an object with `usd`."""
    if isinstance(value, dict):
        value = value.get("usd")
    amount = number(decimal(value.strip().lstrip("$")) if isinstance(value, str) else value)
    return amount if amount is not None and amount < 1e6 else None
