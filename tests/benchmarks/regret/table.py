"""The regret of Vedette's choices beside that of simpler ones, by what is known and by use case."""

import json
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import fmean, stdev
from typing import IO, Any, Final

from msgspec import Struct

from benchmarks.regret import asker, knowledge, worlds, worth
from benchmarks.regret.asker import Chosen
from benchmarks.regret.worlds import USE_CASES, Truth
from vedette.messages.codec import encode
from vedette.messages.events import ModelEvent
from vedette_recommender.as_of import At

NOW: Final = datetime(2026, 11, 25, 15, 0, tzinfo=UTC)
UTILITIES: Final[Mapping[str, worth.Worth]] = {"own": worth.own, "plain": worth.plain}
_ASKER: Final = Path(asker.__file__)
_CODED: Final = ("gpt-4o", "claude-3-5-sonnet-20241022", "llama3.1:8b", "mistral:7b")  # names in old agents
_SURE: Final = 1.96


class Regret(Struct, frozen=True):
    """A mean over fleets, in points of 100, and half of its 95 % interval."""

    mean: float
    half: float

    def __str__(self) -> str:
        """Return both, shortly."""
        return f"{self.mean:.1f} ± {self.half:.1f}"


# By condition, utility, chooser and use case ("" for all): what was lost, a figure a fleet.
Lost = dict[tuple[str, str, str, str], list[float]]


def measure(fleets: int, *, before: Path | None = None, seed: int = 0) -> Lost:
    """Return what each chooser lost in so many fleets; *before* is the checkout of an earlier release."""
    lost: Lost = defaultdict(list)
    with _earlier(before) as earlier:
        for number in range(seed, seed + fleets):
            fleet = worlds.world(number)
            for condition in knowledge.CONDITIONS:
                events = list(knowledge.events(fleet, condition, NOW, number))
                choices = {"Vedette": asker.chosen(asker.answers_to(events, At(NOW)), USE_CASES)}
                if earlier is not None:
                    choices["before"] = earlier(
                        list(knowledge.events(fleet, condition, NOW, number, levels=False))
                    )
                for key, values in judged(fleet, choices, number):
                    lost[condition.name, *key].append(values)
    return lost


def judged(
    fleet: Sequence[Truth], choices: Mapping[str, Chosen], seed: int
) -> Iterator[tuple[tuple[str, str, str], float]]:
    """Yield, by utility, chooser and use case, what was lost; by all use cases the mean."""
    for utility, of in UTILITIES.items():
        total: dict[str, list[float]] = defaultdict(list)
        for use_case in USE_CASES:
            fit = worth.able(fleet, use_case)
            if not fit:
                continue
            values = of(fit, use_case)
            best = max(values)
            by_name = {(truth.endpoint, truth.name): value for truth, value in zip(fit, values, strict=True)}
            found = {
                who: by_name[choice] if (choice := chosen[use_case]) else 0.0
                for who, chosen in choices.items()
            }
            found |= _simple(fit, values, Random(f"{seed} {use_case}"))
            for who, value in found.items():
                total[who].append(best - value)
                yield (utility, who, use_case), best - value
        for who, each in total.items():
            yield (utility, who, ""), fmean(each)


def _simple(fleet: Sequence[Truth], values: Sequence[float], rng: Random) -> dict[str, float]:
    """Return what simple rules choose: by size, by speed, by a name in the code, and by chance (its mean)."""

    def by(key: Callable[[Truth], Any]) -> float:
        return values[max(range(len(fleet)), key=lambda place: key(fleet[place]))]

    coded = [value for truth, value in zip(fleet, values, strict=True) if truth.name in _CODED]
    return {
        "largest": by(lambda truth: (truth.hosted, truth.billions or 0.0)),
        "fastest": by(lambda truth: truth.output_tps),
        "hard-coded": rng.choice(coded) if coded else fmean(values),
        "random": fmean(values),
    }


def lost_by(fleet: Sequence[Truth], chosen: Chosen) -> dict[str, float]:
    """Return by utility what is lost by what is *chosen* in *fleet*, the mean of all use cases."""
    lost: dict[str, list[float]] = defaultdict(list)
    for utility, of in UTILITIES.items():
        for use_case in USE_CASES:
            if not (fit := worth.able(fleet, use_case)):
                continue
            values = of(fit, use_case)
            by_name = {(one.endpoint, one.name): value for one, value in zip(fit, values, strict=True)}
            choice = chosen[use_case]
            lost[utility].append(max(values) - (by_name[choice] if choice else 0.0))
    return {utility: fmean(each) for utility, each in lost.items()}


def summed(lost: Lost) -> dict[tuple[str, str, str, str], Regret]:
    """Return means with their intervals over fleets."""
    return {key: regret(values) for key, values in lost.items()}


def regret(values: Sequence[float]) -> Regret:
    """Return the mean of *values*, a figure a fleet, with its interval."""
    return Regret(fmean(values), _SURE * stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0)


def lines(lost: Lost) -> Iterator[str]:
    """Yield the tables as Markdown."""
    told = summed(lost)
    choosers = list(dict.fromkeys(who for _, _, who, _ in told))
    for utility in UTILITIES:
        yield f"\nRegret by the {utility} utility, points of 100 (mean ± 95 %):\n"
        yield f"| what is known | {' | '.join(choosers)} |"
        yield "|---|" + "---:|" * len(choosers)
        for condition in knowledge.CONDITIONS:
            row = (str(told[condition.name, utility, who, ""]) for who in choosers)
            yield f"| {condition.name} | {' | '.join(row)} |"
    ours = [who for who in ("Vedette", "before") if who in choosers]
    yield "\nBy use case, plain utility, all measured and nothing measured:\n"
    yield f"| use case | {' | '.join(f'{who}, measured | {who}, nothing' for who in ours)} |"
    yield "|---|" + "---:|" * 2 * len(ours)
    ends = (knowledge.CONDITIONS[0].name, "nothing measured")
    for use_case in USE_CASES:
        row = (f"{told[end, 'plain', who, use_case].mean:.1f}" for who in ours for end in ends)
        yield f"| {use_case} | {' | '.join(row)} |"


class _earlier:  # noqa: N801 - a context manager, used as a function
    """The recommender of another checkout, in a process of its own; None without one."""

    def __init__(self, checkout: Path | None) -> None:
        self._checkout = checkout
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Callable[[Sequence[ModelEvent]], Chosen] | None:
        if self._checkout is None:
            return None
        command = ["uv", "run", "--quiet", "--project", str(self._checkout), "python", str(_ASKER)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self._checkout
        )
        return self._ask

    def _ask(self, events: Sequence[ModelEvent]) -> Chosen:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise LookupError("no earlier release is running")
        sent = [[event.subject, json.loads(encode(event))] for event in events]
        _write(process.stdin, {"now": NOW.isoformat(), "use_cases": USE_CASES, "events": sent})
        told = json.loads(process.stdout.readline())
        return {use_case: tuple(model) if model else None for use_case, model in told.items()}

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.communicate()


def _write(stream: IO[str], line: object) -> None:
    stream.write(json.dumps(line) + "\n")
    stream.flush()
