"""The regret of Vedette's choices beside that of simpler ones, by what is known and by use case."""

import json
import subprocess
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
_OWN_ASKER: Final = Path("tests/benchmarks/regret/asker.py")
_LEVELS: Final = Path("shared/vedette/usecases/levels.py")
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
                    known = knowledge.events(fleet, condition, NOW, number, levels=earlier.knows_levels)
                    choices["before"] = earlier.asked(list(known))
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
    compared = "before" in choosers
    for utility in UTILITIES:
        columns = [*choosers, *(["Vedette - before, by pairs"] if compared else [])]
        yield f"\nRegret by the {utility} utility, points of 100 (mean ± 95 %):\n"
        yield f"| what is known | {' | '.join(columns)} |"
        yield "|---|" + "---:|" * len(columns)
        for condition in knowledge.CONDITIONS:
            row = [str(told[condition.name, utility, who, ""]) for who in choosers]
            if compared:
                row.append(str(_difference(lost, condition.name, utility)))
            yield f"| {condition.name} | {' | '.join(row)} |"
    ours = [who for who in ("Vedette", "before") if who in choosers]
    yield "\nBy use case, plain utility, all measured and nothing measured:\n"
    yield f"| use case | {' | '.join(f'{who}, measured | {who}, nothing' for who in ours)} |"
    yield "|---|" + "---:|" * 2 * len(ours)
    ends = (knowledge.CONDITIONS[0].name, "nothing measured")
    for use_case in USE_CASES:
        row = (f"{told[end, 'plain', who, use_case].mean:.1f}" for who in ours for end in ends)
        yield f"| {use_case} | {' | '.join(row)} |"


def _difference(lost: Lost, condition: str, utility: str) -> Regret:
    """Return by how much this version loses more than the earlier one, fleet by fleet."""
    pairs = zip(*(lost[condition, utility, who, ""] for who in ("Vedette", "before")), strict=True)
    return regret([ours - theirs for ours, theirs in pairs])


class Earlier:
    """The recommender of another checkout, in a process of its own that reads events as JSON.

    It is asked by the checkout's own `asker.py`, so that releases may differ in everything but events and replies.
    """

    def __init__(self, checkout: Path, *, python: Sequence[str] = ()) -> None:
        """Start it with *python*, by default that of the checkout's project."""
        own = checkout / _OWN_ASKER
        self.knows_levels = (checkout / _LEVELS).exists()
        command = python or ("uv", "run", "--quiet", "--project", str(checkout), "python")
        self._process = subprocess.Popen(
            [*command, str((own if own.exists() else _ASKER).resolve())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=checkout,
        )

    def asked(self, events: Sequence[ModelEvent]) -> Chosen:
        """Return what it recommends after *events*. Raises RuntimeError when it ended."""
        process = self._process
        sent = [[event.subject, json.loads(encode(event))] for event in events]
        with suppress(BrokenPipeError):  # it ended: nothing can be read either
            _write(process.stdin, {"now": NOW.isoformat(), "use_cases": USE_CASES, "events": sent})
        if not (line := _read(process.stdout)):
            raise RuntimeError(f"the earlier release ended with exit code {process.wait()}")
        return {use_case: tuple(model) if model else None for use_case, model in json.loads(line).items()}

    def close(self) -> None:
        """End it."""
        self._process.communicate()


@contextmanager
def _earlier(checkout: Path | None) -> Iterator[Earlier | None]:
    if checkout is None:
        yield None
        return
    earlier = Earlier(checkout.resolve())
    try:
        yield earlier
    finally:
        earlier.close()


def _write(stream: IO[str] | None, line: object) -> None:
    assert stream is not None
    stream.write(json.dumps(line) + "\n")
    stream.flush()


def _read(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()
