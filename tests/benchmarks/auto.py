"""How often `vedette/auto` finds the use case of a labelled prompt, and what its errors cost."""

import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Final

from msgspec import Struct

from benchmarks.heldout import embedding_server, weights
from benchmarks.regret import asker, knowledge, worlds, worth
from benchmarks.regret.table import NOW, UTILITIES, Regret, regret
from labelled import heldout
from vedette import log
from vedette.settings import EndpointSettings, Settings
from vedette.types import ModelRef, Score
from vedette.usecases import known
from vedette_gateway import examples
from vedette_gateway.automatic import guess
from vedette_gateway.examples import Example
from vedette_gateway.upstreams import Upstreams
from vedette_gateway.voting import DEADLINE_S, Embedder, Voting
from vedette_gateway.wanted import read
from vedette_recommender.as_of import At

_CONDITIONS: Final = ("everything measured", "nothing measured")
_NEEDS: Final = {"agent": ["tools"]}  # what a request of the use case needs, whatever it is taken for
_ROUNDS: Final = 20
_EMBEDS: Final = "all-minilm-l6:f32"
_ASKED_MS: Final = 2  # what takes longer has asked the model
_PATIENT_S: Final = 10.0
_CHOOSERS: Final = (
    "the true use case",
    "vedette/auto",
    "always chat",
    "auto: more than the true one",
    "chat: more than the true one",
)


class Judged(Struct, frozen=True):
    """A prompt: the use case that it is for, the one found, how sure that was, and after how many microseconds."""

    true: str
    found: str
    confidence: float
    us: float


def judged(prompts: Sequence[Example]) -> list[Judged]:
    """Return what `vedette/auto` makes of *prompts*."""
    use_cases = tuple(known({}))
    return [_judged(one, use_cases) for one in prompts]


def _judged(one: Example, use_cases: Sequence[str]) -> Judged:
    wanted = read(one.api, one.body, ())
    found = guess(wanted, use_cases)
    took = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        guess(wanted, use_cases)
        took.append(time.perf_counter() - began)
    return Judged(one.use_case, found.use_case, found.confidence, min(took) * 1e6)


async def voted(prompts: Sequence[Example], work: Path, deadline_s: float) -> list[Judged]:
    """Return what `vedette/auto` makes of *prompts* beside a real model that embeds, in microseconds with its reply."""
    model = weights.embedding(work)[_EMBEDS]
    async with embedding_server.serving(work, model, _EMBEDS) as url:
        upstreams = Upstreams()
        upstreams.reload(
            Settings(endpoints={"near": EndpointSettings(provider="openai-compatible", url=url)})
        )
        hours = itertools.count(
            step=3600
        )  # so that a late reply does not spare the next request the question
        voting = Voting(
            upstreams,
            monotonic=lambda: next(hours),
            log=log.logger("gateway"),
            deadline_s=deadline_s,
        )

        async def embedder() -> Embedder:
            return Embedder(ModelRef("near", _EMBEDS), None, f"{url}/v1")

        try:
            for one in prompts:  # until one that asks: the centroids are computed then
                await _improved(one, voting, embedder)
                await voting.ready()
                if voting.centroids is not None:
                    break
            return [await _improved(one, voting, embedder) for one in prompts]
        finally:
            await voting.close()
            await upstreams.close()


async def _improved(
    one: Example, voting: Voting, embedder: Callable[[], Awaitable[Embedder | None]]
) -> Judged:
    use_cases = tuple(known({}))
    wanted = read(one.api, one.body, ())
    began = time.perf_counter()
    found = await voting.improved(wanted, guess(wanted, use_cases), use_cases, embedder)
    return Judged(one.use_case, found.use_case, found.confidence, (time.perf_counter() - began) * 1e6)


def lost(found: Sequence[Judged], fleets: int) -> dict[tuple[str, str, str], Regret]:
    """Return by condition, utility and chooser what a request loses, each use case counting as much as another.

    Pictures and texts to embed are left out: no fleet of the simulation has models for them.
    """
    figures: dict[tuple[str, str, str], list[float]] = {}
    confused = Counter((one.true, one.found) for one in found if one.true in worlds.USE_CASES)
    for number in range(fleets):
        fleet = worlds.world(number)
        for condition in knowledge.CONDITIONS:
            if condition.name not in _CONDITIONS:
                continue
            answers = asker.answers_to(knowledge.events(fleet, condition, NOW, number), At(NOW))
            plain = asker.chosen(answers, worlds.USE_CASES)
            needing = {
                true: asker.chosen(answers, worlds.USE_CASES, capabilities=needs)
                for true, needs in _NEEDS.items()
            }
            for utility, of in UTILITIES.items():
                losses = _losses(fleet, of, plain, needing)
                for who, one in _means(losses, confused).items():
                    figures.setdefault((condition.name, utility, who), []).append(one)
    return {key: regret(values) for key, values in figures.items()}


def _losses(
    fleet: Sequence[worlds.Truth], of: worth.Worth, plain: asker.Chosen, needing: Mapping[str, asker.Chosen]
) -> dict[tuple[str, str], float]:
    """Return by true use case, and the one found, what the choice is worth less than the best."""
    losses = {}
    for true in worlds.USE_CASES:
        fit = worth.able(fleet, true)
        if not fit:
            continue
        values = of(fit, true)
        by_name = {(one.endpoint, one.name): value for one, value in zip(fit, values, strict=True)}
        for taken, choice in needing.get(true, plain).items():
            losses[true, taken] = max(values) - (by_name.get(choice, 0.0) if choice else 0.0)
    return losses


def _means(losses: Mapping[tuple[str, str], float], confused: Counter[tuple[str, str]]) -> dict[str, float]:
    trues = [true for true in dict.fromkeys(true for true, _ in confused) if (true, true) in losses]

    def by_guess(true: str) -> float:
        counts = {taken: n for (one, taken), n in confused.items() if one == true}
        return sum(n * losses[true, taken] for taken, n in counts.items()) / sum(counts.values())

    truth = fmean(losses[true, true] for true in trues)
    guessed = fmean(map(by_guess, trues))
    chat = fmean(losses[true, "chat"] for true in trues)
    return dict(zip(_CHOOSERS, (truth, guessed, chat, guessed - truth, chat - truth), strict=True))


async def lines_of_votes(work: Path) -> list[str]:
    """Return how often a vote helps, within the gateway's deadline and with much time."""
    prompts = heldout()
    told = []
    for deadline_s in (DEADLINE_S, _PATIENT_S):
        found = await voted(prompts, work, deadline_s)
        asked = [one.us / 1000 for one in found if one.us > 1000 * _ASKED_MS]
        told.append(
            f"with {_EMBEDS}, at most {deadline_s * 1000:.0f} ms: {_right(found)}; {len(asked)} asked, "
            f"in {median(asked or [0]):.0f} ms (at most {max(asked, default=0):.0f})"
        )
    return told


def _right(found: Sequence[Judged]) -> str:
    right = sum(one.true == one.found for one in found)
    low, high = Score(successes=right, trials=len(found), suite="auto").interval
    share = right / len(found)
    return f"{right} of {len(found)} right, {share:.1%} (95 % interval {low:.1%} to {high:.1%})"


def lines(fleets: int) -> Iterator[str]:
    """Yield the tables as Markdown."""
    own, others = judged(examples.read()), judged(heldout())
    for name, found in (("the prompts that the rules were made with", own), ("held-out prompts", others)):
        times = [one.us for one in found]
        yield f"{name}: {_right(found)}; {median(times):.0f} µs, at most {max(times):.0f}"
    yield "\nHeld out, by confidence:\n"
    yield "| confidence | prompts | right |"
    yield "|---|---:|---:|"
    for low, high in ((0.0, 0.6), (0.6, 0.8), (0.8, 0.95), (0.95, 1.01)):
        within = [one.true == one.found for one in others if low <= one.confidence < high]
        share = f"{fmean(within):.0%}" if within else "-"
        yield f"| {low:g} to {min(high, 1.0):g} | {len(within)} | {share} |"
    yield "\nHeld out, the true use case in rows, the one found in columns:\n"
    yield from _confusion(others)
    losses = lost(others, fleets)
    yield f"\nRegret over {fleets} fleets, points of 100 (mean ± 95 %):\n"
    yield f"| what is known | utility | {' | '.join(_CHOOSERS)} |"
    yield "|---|---|" + "---:|" * len(_CHOOSERS)
    for condition in _CONDITIONS:
        for utility in UTILITIES:
            row = (_shown(losses[condition, utility, who]) for who in _CHOOSERS)
            yield f"| {condition} | {utility} | {' | '.join(row)} |"


def _shown(one: Regret) -> str:
    return f"{one.mean:.2f} ± {one.half:.2f}"


def _confusion(found: Sequence[Judged]) -> Iterator[str]:
    names = list(dict.fromkeys(one.true for one in found))
    counts = Counter((one.true, one.found) for one in found)
    yield f"| | {' | '.join(names)} |"
    yield "|---|" + "---:|" * len(names)
    for true in names:
        yield f"| {true} | {' | '.join(str(counts[true, other] or '') for other in names)} |"
