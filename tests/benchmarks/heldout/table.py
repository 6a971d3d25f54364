"""Vedette's quality after a real evaluation, beside the share of right answers to tasks that it does not know."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import combinations
from math import comb
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
from msgspec import Struct

from benchmarks.heldout import asking, embedding_server, tasks, weights
from benchmarks.heldout.tasks import Task
from benchmarks.running import say
from commands import Up, up
from eventually import eventually
from vedette.demo.server import serving
from vedette.types import Capability, Score
from vedette.usecases import KINDS, estimating
from vedette_benchmarker.suites.registry import SUITES

USE_CASES: Final = (
    "chat",
    "reasoning",
    "code_generation",
    "code_understanding",
    "extraction",
    "summarisation",
    "documentation",
)
EMBEDDING: Final = "embedding"
_CHANCE: Final = 0.05
DRAWS: Final = 2000
_NO_CANDIDATE: Final = -1.0  # ranked below all candidates
_EVALUATION_S: Final = 14_400.0
# Any model that chats is a candidate here, whatever its evaluation says of it.
_CONFIG: Final = """
[schedule]
run_on_startup = false
[probing]
job_timeout_s = 14400.0
[evaluating]
timeout_s = 900.0
"""
_USE_CASE: Final = """
[recommend.use_cases.{use_case}]
weights = {{ quality = 1 }}
capabilities = ["{capability}"]
bounds = {{ quality = 0, answer_s = 0, answer_usd = 0, context_tokens = 0 }}
"""
_ENDPOINT: Final = """
[endpoints.{name}]
provider = "openai-compatible"
url = "{url}"
host_group = "here"
benchmark = false
verify_capabilities = false
evaluate = false
"""


class Judged(Struct, frozen=True):
    """What Vedette says of one model: its quality by use case, and the scores of its suites.

    Of a model that does not chat it says neither: such a model is no candidate.
    """

    quality: Mapping[str, float]
    scores: Mapping[str, Score]

    def interval(self, use_case: str) -> tuple[float, float] | None:
        """Return the 95 % interval of the share of right answers to tasks of *use_case* that no suite asks."""
        return estimating.own_tasks(self.scores, KINDS[use_case])


# By model and use case: whether each task was answered rightly.
Marks = Mapping[str, Mapping[str, Sequence[bool]]]


async def measure(work: Path, use_cases: Sequence[str] = ()) -> None:
    """Ask the tasks of *use_cases*, or all, evaluate the same models with `vedette evaluate`, and print the tables.

    Weights, answers and Vedette's home stay in *work*; what is there is not made again.
    """
    wanted = [one for one in (*USE_CASES, EMBEDDING) if not use_cases or one in use_cases]
    models, embedding = await asyncio.to_thread(_weights, work, wanted)
    marks: dict[str, Mapping[str, Sequence[bool]]] = {}
    for name, path in embedding.items():
        async with embedding_server.serving(work, path, name) as url:
            marks[name] = {EMBEDDING: await asking.found(url, name, tasks.searches())}
    for name, path in models.items():
        marks[name] = await _marked(name, path, work, wanted)
    judged = await _evaluated(models, embedding, work, wanted)
    print("\n".join(lines(marks, judged)))


def _weights(work: Path, use_cases: Sequence[str]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return the weights of the models that are asked of *use_cases*: those that chat, and those that embed."""
    chats = weights.prepare(work) if any(one != EMBEDDING for one in use_cases) else {}
    return chats, weights.embedding(work) if EMBEDDING in use_cases else {}


async def _marked(
    name: str, path: Path, work: Path, use_cases: Sequence[str]
) -> Mapping[str, Sequence[bool]]:
    every = [task for task in tasks.every() if task.use_case in use_cases]
    async with serving(work, model=path, name=name, threads=1, within_s=None) as settings:
        answers = await asking.answers(settings, name, every, work / f"{name}.jsonl")
    return await _graded(every, answers)


async def _graded(every: Sequence[Task], answers: Mapping[str, str]) -> Mapping[str, Sequence[bool]]:
    marks: dict[str, list[bool]] = {}
    for task in every:
        marks.setdefault(task.use_case, []).append(await asking.right(task, answers[task.prompt]))
    return marks


async def _evaluated(
    models: Mapping[str, Path], embedding: Mapping[str, Path], work: Path, use_cases: Sequence[str]
) -> Mapping[str, Judged]:
    """Return what Vedette says of all models after `vedette evaluate`, the smallest first.

    The home in *work* is empty before the first run; a model that was evaluated is not evaluated again. Suites that
    tell of none of *use_cases* are not asked.
    """
    kinds = {kind for use_case in use_cases for kind in KINDS[use_case]}
    suites = [suite for suite in SUITES if suite.kind in kinds]
    async with AsyncExitStack() as stack:
        config = _CONFIG + _USE_CASE.format(use_case=EMBEDDING, capability=EMBEDDING)
        config += "".join(_USE_CASE.format(use_case=use_case, capability="chat") for use_case in USE_CASES)
        urls = []
        for name, path in models.items():
            chats = serving(work, model=path, name=name, threads=1, within_s=None)
            urls.append((await stack.enter_async_context(chats)).url)
        for name, path in embedding.items():
            urls.append(await stack.enter_async_context(embedding_server.serving(work, path, name)))
        weighed = {**models, **embedding}
        endpoints = {name: f"server-{place}" for place, name in enumerate(weighed)}
        for name, url in zip(weighed, urls, strict=True):
            config += _ENDPOINT.format(name=endpoints[name], url=url)
        running = await stack.enter_async_context(up(work / "home", config))
        await running.line("ready")
        assert (await running.ask("discover")).code == 0
        assert await eventually(lambda: _found(running, len(weighed)), within_s=600, what="all found")
        for name in sorted(weighed, key=lambda name: weighed[name].stat().st_size):
            needs = Capability.EMBEDDING if name in embedding else Capability.CHAT
            scores = (await _scores(running)).get(name, {})
            missing = [suite.kind for suite in suites if suite.needs is needs and suite.kind not in scores]
            if missing:
                say(f"evaluating {name}")
                only = [word for kind in missing for word in ("--suite", kind)]
                ended = await running.ask(
                    "evaluate", f"{endpoints[name]}/{name}", "--json", *only, within_s=_EVALUATION_S
                )
                if ended.code:
                    raise RuntimeError(f"{name}: {ended.out} {ended.err}")
        return await _said(running, list(weighed))


async def _scores(running: Up) -> Mapping[str, Any]:
    """Return the scores of the models that were evaluated."""
    views = (await running.ask("models", "--json")).json()["models"]
    told = {view["model"]["name"]: (view.get("quality") or {}).get("scores") for view in views}
    return {name: scores for name, scores in told.items() if scores}


async def _found(running: Up, models: int) -> bool:
    return len((await running.ask("models", "--json")).json()["models"]) == models


async def _said(running: Up, models: Sequence[str]) -> Mapping[str, Judged]:
    for _ in range(
        2
    ):  # the servers have other ports than in the run before; two probes confirm that they answer
        assert (await running.ask("probe")).code == 0
    scores = await _scores(running)
    quality: dict[str, dict[str, float]] = {name: {} for name in models}
    for use_case in (*USE_CASES, EMBEDDING):
        reply = (await running.ask("explain", use_case, "--json")).json()
        for one in reply["recommendations"]:
            quality[one["model"]["name"]][use_case] = _quality(one)
    return {
        name: Judged(quality[name], msgspec.convert(scores.get(name, {}), dict[str, Score]))
        for name in models
    }


def _quality(recommendation: Mapping[str, Any]) -> float:
    found = [one for one in recommendation["contributions"] if one["signal"] == "quality"]
    return float(found[0]["utility"])


def lines(marks: Marks, judged: Mapping[str, Judged]) -> Iterator[str]:
    """Yield the tables as Markdown: the shares, and how alike both rank the models."""
    yield "| use case | model | held out, right | 95 % | Vedette expects, 95 % | Vedette's quality |"
    yield "|---|---|---:|---:|---:|---:|"
    for use_case in (*USE_CASES, EMBEDDING):
        for name, told in _of(marks, use_case).items():
            score = _score(told)
            yield (
                f"| {use_case} | {name} | {score.successes} of {score.trials} | {_percent(score.interval)} | "
                f"{_percent(judged[name].interval(use_case))} | {_told(judged[name].quality.get(use_case))} |"
            )
    yield "\n| use case | Kendall's tau | 95 % | pairs surely apart | of these ranked alike | shares expected |"
    yield "|---|---:|---:|---:|---:|---:|"
    for use_case in (*USE_CASES, EMBEDDING):
        if told := _of(marks, use_case):
            yield f"| {use_case} | {' | '.join(_ranked(told, judged, use_case))} |"


def _told(quality: float | None) -> str:
    return "no candidate" if quality is None else f"{quality:.2f}"


def _of(marks: Marks, use_case: str) -> dict[str, Sequence[bool]]:
    """Return the marks of the models that were asked tasks of *use_case*."""
    return {name: told[use_case] for name, told in marks.items() if use_case in told}


def _ranked(
    marks: Mapping[str, Sequence[bool]], judged: Mapping[str, Judged], use_case: str
) -> Iterator[str]:
    names = list(marks)
    said = [judged[name].quality.get(use_case, _NO_CANDIDATE) for name in names]
    found = tau([sum(marks[name]) for name in names], said)
    yield "none" if found is None else f"{found:.2f}"
    taus = sorted(value for value in _drawn(marks, said) if value is not None)
    yield f"{taus[len(taus) // 40]:.2f} to {taus[-1 - len(taus) // 40]:.2f}" if taus else "none"
    apart = [
        pair
        for pair in combinations(range(len(names)), 2)
        if _apart(marks[names[pair[0]]], marks[names[pair[1]]])
    ]
    alike = sum(
        (sum(marks[names[one]]) > sum(marks[names[other]])) == (said[one] > said[other])
        for one, other in apart
    )
    yield str(len(apart))
    yield str(alike)
    expected = [
        low <= sum(marks[name]) / len(marks[name]) <= high
        for name in names
        if (interval := judged[name].interval(use_case))
        for low, high in (interval,)
    ]
    yield f"{sum(expected)} of {len(expected)}"


def tau(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Return Kendall's tau-b of two rankings of the same things; None where one of them tells nothing apart."""
    agreed, tied_one, tied_other, pairs = 0, 0, 0, 0
    for first, second in combinations(range(len(one)), 2):
        here, there = _sign(one[first] - one[second]), _sign(other[first] - other[second])
        agreed += here * there
        tied_one += here == 0
        tied_other += there == 0
        pairs += 1
    root = ((pairs - tied_one) * (pairs - tied_other)) ** 0.5
    return float(agreed / root) if root else None


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _drawn(marks: Mapping[str, Sequence[bool]], said: Sequence[float]) -> Iterator[float | None]:
    """Yield tau over tasks drawn with replacement, the same for all models."""
    rng = Random("held out")
    count = len(next(iter(marks.values())))
    for _ in range(DRAWS):
        drawn = [rng.randrange(count) for _ in range(count)]
        yield tau([sum(told[place] for place in drawn) for told in marks.values()], said)


def _apart(one: Sequence[bool], other: Sequence[bool]) -> bool:
    """Return whether one is right more often than chance explains: the exact sign test where they differ."""
    only_one = sum(a and not b for a, b in zip(one, other, strict=True))
    only_other = sum(b and not a for a, b in zip(one, other, strict=True))
    differ = only_one + only_other
    tail = sum(comb(differ, n) for n in range(min(only_one, only_other) + 1)) / 2**differ
    return 2 * tail <= _CHANCE


def _score(marks: Sequence[bool]) -> Score:
    return Score(successes=sum(marks), trials=len(marks), suite="")


def _percent(interval: tuple[float, float] | None) -> str:
    return f"{100 * interval[0]:.0f}-{100 * interval[1]:.0f} %" if interval else "nothing"
