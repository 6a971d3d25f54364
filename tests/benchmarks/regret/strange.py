"""Worlds that break the assumptions of `worlds`: what Vedette loses where its knowledge, or its scale, is wrong.

Each strange world is a fleet of `worlds` with one thing changed in all of it. What Vedette is given changes with the
truth only where a server would show it.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Final

from msgspec.structs import replace

from benchmarks.regret import asker, knowledge, worlds
from benchmarks.regret.table import NOW, UTILITIES, judged, regret
from benchmarks.regret.worlds import Truth
from vedette_recommender.as_of import At

Fleet = Sequence[Truth]
Change = Callable[[Fleet, Random], Fleet]
_MISTAKEN: Final = 0.2  # of the models
_FAR: Final = 1.0  # logits, standard deviation
_MIN_SHARE: Final = 0.005
CHOOSERS: Final = ("Vedette", "largest", "random")
CONDITIONS: Final = tuple(
    condition
    for condition in knowledge.CONDITIONS
    if condition.name in ("everything measured", "hosted by default", "nothing measured")
)
Lost = dict[
    tuple[str, str, str, str], list[float]
]  # by world, condition, utility and chooser, a figure a fleet


def _unnamed(fleet: Fleet, rng: Random) -> Fleet:
    """No name says anything; servers still tell the sizes of local models."""
    return [replace(one, name=f"m-{rng.getrandbits(40):010x}", family=None) for one in fleet]


def _unknown(fleet: Fleet, rng: Random) -> Fleet:
    """Neither a name nor a server says anything of the weights."""
    nothing = {"billions": None, "active": None, "quantization": None}
    return [replace(one, **nothing) for one in _unnamed(fleet, rng)]


def _mistaken(fleet: Fleet, rng: Random) -> Fleet:
    """Give some models the answers of others in the fleet: they are not what they are called."""
    places = rng.sample(range(len(fleet)), max(2, round(_MISTAKEN * len(fleet))))
    found = list(fleet)
    for place, other in zip(places, [*places[1:], places[0]], strict=True):
        found[place] = replace(fleet[place], rates=fleet[other].rates, quality=fleet[other].quality)
    return found


def _broken(fleet: Fleet, rng: Random) -> Fleet:
    """Give some local models a wrong template, or a bad quantisation: they are hardly ever right."""
    return [
        _moved(one, lambda _, logit: logit - 3.0) if not one.hosted and rng.random() < _MISTAKEN else one
        for one in fleet
    ]


def _far(fleet: Fleet, rng: Random) -> Fleet:
    """Give tasks that are not those of any board: models differ much from what is published of them."""

    def moved(one: Truth) -> Truth:
        by = rng.gauss(0.0, _FAR)
        return _moved(one, lambda _, logit: logit + by)

    return [moved(one) for one in fleet]


def _special(fleet: Fleet, rng: Random) -> Fleet:
    """Every model is good at some things and bad at others, whatever its name says."""

    def moved(one: Truth) -> Truth:
        by = {kind: rng.gauss(0.0, _FAR) for kind in one.rates}
        return _moved(one, lambda kind, logit: logit + by[kind])

    return [moved(one) for one in fleet]


def _squeezed(fleet: Fleet, _: Random) -> Fleet:
    """Small models are nearly as good as large ones."""
    return [_moved(one, lambda _, logit: 0.5 + 0.4 * logit) for one in fleet]


def _stretched(fleet: Fleet, _: Random) -> Fleet:
    """Large models are far better than small ones."""
    return [_moved(one, lambda _, logit: 1.8 * logit - 0.5) for one in fleet]


def _extreme(fleet: Fleet, rng: Random) -> Fleet:
    """Speeds and prices are a hundred times higher, or lower, than usual."""

    def moved(one: Truth) -> Truth:
        faster, dearer = 10 ** rng.gauss(0.0, 0.7), 10 ** rng.gauss(0.0, 0.7)
        into, out_of = (usd * dearer for usd in one.price)
        tps, ttft_ms = one.output_tps * faster, one.ttft_ms / faster
        return replace(one, output_tps=tps, ttft_ms=ttft_ms, price=(into, out_of))

    return [moved(one) for one in fleet]


def _thinking(fleet: Fleet, rng: Random) -> Fleet:
    """Let a third of the models think before they answer: they are better for it."""

    def moved(one: Truth) -> Truth:
        thoughts = rng.lognormvariate(math.log(600.0), 0.5)
        return replace(_moved(one, lambda _, logit: logit + 0.7), thought_tokens=thoughts)

    return [moved(one) if rng.random() < 1 / 3 else one for one in fleet]


def _failing(fleet: Fleet, rng: Random) -> Fleet:
    """Of a third of the models, calls fail often."""
    return [
        replace(one, reliability=rng.choice((0.1, 0.4, 0.7))) if rng.random() < 1 / 3 else one
        for one in fleet
    ]


WORLDS: Final[Mapping[str, Change]] = {
    "as simulated": lambda fleet, _: fleet,
    "names say nothing": _unnamed,
    "neither names nor sizes": _unknown,
    "a fifth are not what they are called": _mistaken,
    "a fifth of the local ones are broken": _broken,
    "far from published": _far,
    "specialists": _special,
    "small ones nearly as good": _squeezed,
    "small ones far worse": _stretched,
    "extreme speeds and prices": _extreme,
    "a third think": _thinking,
    "a third fail often": _failing,
}


def _moved(one: Truth, by: Callable[[str, float], float]) -> Truth:
    """Return the model whose right answers in each kind of suite have the logit *by* gives them; use cases follow."""
    rates = {kind: _share(by(kind, _logit(rate))) for kind, rate in one.rates.items()}
    quality = {}
    for name, share in one.quality.items():
        beyond = _logit(share) - _logit(worlds.of_kinds(one.rates, name))
        quality[name] = _share(_logit(worlds.of_kinds(rates, name)) + beyond)
    return replace(one, rates=rates, quality=quality)


def _logit(share: float) -> float:
    kept = min(1.0 - _MIN_SHARE, max(_MIN_SHARE, share))
    return math.log(kept / (1.0 - kept))


def _share(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-logit))


def measure(fleets: int) -> Lost:
    """Return what each chooser loses in so many fleets of each strange world."""
    lost: Lost = defaultdict(list)
    for name, change in WORLDS.items():
        for number in range(fleets):
            fleet = tuple(change(worlds.world(number), Random(f"{name} {number}")))
            for condition in CONDITIONS:
                events = knowledge.events(fleet, condition, NOW, number)
                choices = {"Vedette": asker.chosen(asker.answers_to(events, At(NOW)), worlds.USE_CASES)}
                for (utility, who, use_case), value in judged(fleet, choices, number):
                    if who in CHOOSERS and not use_case:
                        lost[name, condition.name, utility, who].append(value)
    return lost


def lines(lost: Lost) -> Iterator[str]:
    """Yield the tables as Markdown, a table a utility."""
    names = list(dict.fromkeys(name for name, *_ in lost))
    for utility in UTILITIES:
        yield f"\nRegret by the {utility} utility, points of 100 (mean ± 95 %):\n"
        yield f"| world | {' | '.join(one.name for one in CONDITIONS)} | largest | random |"
        yield "|---|" + "---:|" * (len(CONDITIONS) + 2)
        for name in names:
            cells = [lost[name, one.name, utility, "Vedette"] for one in CONDITIONS]
            cells += [lost[name, CONDITIONS[0].name, utility, who] for who in CHOOSERS[1:]]
            yield f"| {name} | {' | '.join(str(regret(values)) for values in cells)} |"
