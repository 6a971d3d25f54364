"""Fleets from a seed: which models an organisation has, how good, fast, dear and reliable each truly is.

The names, sizes, dates and abilities of the models are published facts (`models.csv`). What is true in one world is
drawn around them: the tasks of an organisation are not a public benchmark. A model of a made-up name has the ability of
its size, with a wider spread.
"""

import csv
import math
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from random import Random
from typing import Final

from msgspec import Struct

from vedette.usecases import KINDS

# Abilities: about -1.8 for 135 million parameters of 2024, 0 for GPT-3.5, 3 for the best hosted models of 2026.
_SPREAD_NAMED: Final = 0.30
_SPREAD_UNNAMED: Final = 0.50
_SPREAD_KIND: Final = 0.35  # of one model between kinds of tasks
_SPREAD_BEYOND: Final = 0.03  # what a use case asks for beyond what the suites ask
# The right answers of a kind by ability: the logit is easy + steep * ability.
_EASY: Final = {
    "instructions": 1.0,
    "multilingual": 0.6,
    "general_knowledge": 0.7,
    "choice": 0.7,
    "arithmetic": 0.4,
    "code_generation": 0.3,
    "code_understanding": 0.3,
    "needle": 1.6,
    "extraction": 1.2,
    "tools": 0.6,
    "json_schema": 1.2,
    "json_words": 1.0,
    "tool_restraint": 1.0,
}
_STEEP: Final = {"needle": 0.9, "extraction": 0.9, "code_generation": 1.4, "arithmetic": 1.4}
_CODERS: Final = ("code", "devstral", "starcoder", "opencoder")
_QUANTIZATIONS: Final = (("Q4_K_M", 4.8), ("Q8_0", 8.5), ("F16", 16.0), ("Q3_K_M", 3.9))
_QUANTIZATION_WEIGHTS: Final = (70, 20, 5, 5)
# Memory bandwidth in GB/s and memory in GB: a laptop, a desktop card, a workstation, a server card, two of them.
_MACHINES: Final = ((60, 16), (360, 12), (900, 24), (900, 48), (1900, 80), (3300, 160))
PRICES: Final = {
    "large": (3.0, 15.0),
    "mid": (0.4, 2.0),
    "small": (0.1, 0.4),
}  # USD per million, input and output
SPEEDS: Final = {"large": 55.0, "mid": 110.0, "small": 160.0}  # tokens/s
TTFT_MS: Final = {"large": 900.0, "mid": 600.0, "small": 450.0}
_BASE_MS: Final = 60.0
_CONTEXTS: Final = (2048, 4096, 8192, 16_384, 32_768)
KIND_NAMES: Final = tuple(_EASY)
USE_CASES: Final = tuple(name for name in KINDS if name not in ("embedding", "vision"))


class Published(Struct, frozen=True):
    """A line of `models.csv`. `line` is the family of an open model, the tier of a hosted one."""

    name: str
    served: str
    line: str
    billions: float | None
    active: float | None
    ability: float
    released: str

    @property
    def hosted(self) -> bool:
        """Whether a vendor serves it."""
        return self.served != "open"


class Truth(Struct, frozen=True, kw_only=True):
    """One model of one world. Shares of right answers are of one, by use case (`quality`) and by suite (`rates`)."""

    endpoint: str
    name: str
    family: str | None
    hosted: bool
    billions: float | None
    active: float | None
    quantization: str | None
    released: str
    quality: Mapping[str, float]
    rates: Mapping[str, float]
    output_tps: float
    ttft_ms: float
    reliability: float
    price: tuple[float, float]
    context_tokens: int
    tools: bool
    thought_tokens: float = 0.0  # before each answer


@cache
def published() -> tuple[Published, ...]:
    """Return the models that a world is made of."""
    with (Path(__file__).parent / "models.csv").open(newline="") as file:
        return tuple(
            Published(
                row["name"],
                row["served"],
                row["line"],
                float(row["billions"]) if row["billions"] else None,
                float(row["active"]) if row["active"] else None,
                float(row["ability"]),
                row["released"],
            )
            for row in csv.DictReader(file)
        )


def world(seed: int, *, models: tuple[int, int] = (5, 60)) -> tuple[Truth, ...]:
    """Return the fleet number *seed*, of between so many *models*."""
    rng = Random(f"regret {seed}")
    wanted = rng.randint(*models)
    hosted = round(wanted * rng.choice((0.0, 0.1, 0.2, 0.3, 0.5, 0.8)))
    vendors = sorted({one.served for one in published() if one.hosted})
    chosen_vendors = rng.sample(vendors, rng.randint(1, 3))
    of_vendors = [one for one in published() if one.served in chosen_vendors]
    fleet = [_hosted(one, rng) for one in rng.sample(of_vendors, min(hosted, len(of_vendors)))]
    machines = [(f"host-{n}", *rng.choice(_MACHINES)) for n in range(rng.randint(1, 4))]
    taken: set[tuple[str, str]] = set()
    while len(fleet) < wanted:
        host, bandwidth, memory = rng.choice(machines)
        one = rng.choice([one for one in published() if not one.hosted])
        quantization, bits = rng.choices(_QUANTIZATIONS, _QUANTIZATION_WEIGHTS)[0]
        if (one.billions or 0) * bits / 8 > memory * 0.9 or (host, one.name) in taken:
            continue
        taken.add((host, one.name))
        fleet.append(_local(one, host, bandwidth, quantization, bits, rng))
    return tuple(fleet)


def _hosted(one: Published, rng: Random) -> Truth:
    tier = one.line
    scale = rng.lognormvariate(0, 0.4)
    ability = rng.gauss(one.ability, _SPREAD_NAMED)
    price = tuple(round(usd * scale, 3) for usd in PRICES[tier])
    return _truth(
        one,
        ability,
        rng,
        endpoint=one.served.removeprefix("hosted:"),
        name=one.name,
        family=None,
        quantization=None,
        output_tps=SPEEDS[tier] * rng.lognormvariate(0, 0.4),
        ttft_ms=TTFT_MS[tier] * rng.lognormvariate(0, 0.4),
        reliability=1 - 10 ** -rng.uniform(1.7, 3.3),
        price=(price[0], price[1]),
        context_tokens=rng.choice((128_000, 200_000, 1_000_000)),
    )


def _local(one: Published, host: str, bandwidth: float, quantization: str, bits: float, rng: Random) -> Truth:
    total = one.billions or 1.0
    active = one.active or total
    named = rng.random() < 0.85
    lost = {"Q4_K_M": 0.25 / (1 + total), "Q3_K_M": 0.25 + 0.3 / (1 + total)}.get(quantization, 0.0)
    ability = rng.gauss(one.ability, _SPREAD_NAMED) - lost
    name, family = one.name, one.line
    if not named:
        ability = rng.gauss(_by_size(math.sqrt(total * active), one.released), _SPREAD_UNNAMED) - lost
        name, family = f"acme-{rng.getrandbits(24):06x}:{total:g}b", ""
    bad = rng.random() < 0.06
    tps, ttft_ms = local_pace(active, bandwidth, bits)
    return _truth(
        one,
        ability,
        rng,
        endpoint=host,
        name=name,
        family=family or None,
        quantization=quantization,
        output_tps=tps * rng.lognormvariate(0, 0.15),
        ttft_ms=ttft_ms * rng.lognormvariate(0, 0.2),
        reliability=rng.uniform(0.6, 0.95) if bad else 1 - 10 ** -rng.uniform(1.7, 4),
        price=(0.0, 0.0),
        context_tokens=rng.choice(_CONTEXTS),
    )


def local_pace(active: float, bandwidth: float, bits: float) -> tuple[float, float]:
    """Return tokens/s and the milliseconds to the first token of so many *active* billions of parameters.

    *bandwidth* of the memory is in GB/s, *bits* are those of a weight.
    """
    return min(400.0, 0.6 * bandwidth / (active * bits / 8)), _BASE_MS + 6000 * active / bandwidth


def _by_size(billions: float, released: str) -> float:
    """Return the ability of a model of that size and date: the published fit of 263 models."""
    on = date.fromisoformat(f"{released}-01"[:10]) if released else date(2024, 7, 1)
    return -1.53 + 0.282 * math.log2(billions) + 0.80 * ((on - date(2024, 7, 1)).days / 365.25)


def _truth(
    one: Published,
    ability: float,
    rng: Random,
    *,
    endpoint: str,
    name: str,
    family: str | None,
    quantization: str | None,
    output_tps: float,
    ttft_ms: float,
    reliability: float,
    price: tuple[float, float],
    context_tokens: int,
) -> Truth:
    coder = any(word in one.name for word in _CODERS)
    rates = {}
    for kind, easy in _EASY.items():
        own = rng.gauss(ability, _SPREAD_KIND)
        if coder:
            own += 0.4 if kind.startswith("code") else -0.3
        rates[kind] = 1 / (1 + math.exp(-(easy + _STEEP.get(kind, 1.2) * own)))
    quality = {}
    for use_case in USE_CASES:
        quality[use_case] = min(0.995, max(0.0, rng.gauss(of_kinds(rates, use_case), _SPREAD_BEYOND)))
    return Truth(
        endpoint=endpoint,
        name=name,
        family=family,
        hosted=one.hosted,
        billions=one.billions,
        active=one.active,
        quantization=quantization,
        released=one.released,
        quality=quality,
        rates=rates,
        output_tps=output_tps,
        ttft_ms=ttft_ms,
        reliability=reliability,
        price=price,
        context_tokens=context_tokens,
        tools=one.hosted or rng.random() < 0.8,
    )


def of_kinds(rates: Mapping[str, float], use_case: str) -> float:
    """Return the share of right answers in a use case of a model with such *rates* in the kinds of suites."""
    kinds = KINDS[use_case]
    return sum(weight * rates[kind] for kind, weight in kinds.items()) / sum(kinds.values())
