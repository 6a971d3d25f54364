"""The recommender's answers without NATS, in a process of its own: `python -m benchmarks.inprocess MODELS SECONDS`.

The best ten of so many models, asked one after the other, each question another; prints a JSON object.
"""

import statistics
import sys
import time
from collections.abc import Iterator
from datetime import timedelta

import msgspec
from msgspec import Struct

from benchmarks import population, questions
from vedette.clock import Clock, SystemClock
from vedette.messages.catalogue import Catalogue
from vedette.messages.events import Event
from vedette.settings import Settings
from vedette.usecases import known
from vedette_recommender.answers import Answers
from vedette_recommender.app import base_url

LIMIT = 10
_MAX_RUNS = 5000
_MIN_RUNS = 3


class Timed(Struct, frozen=True):
    """What a number of answers took; `first_ms` is the one after a change of the catalogue."""

    n: int
    first_ms: float
    p50_ms: float
    p99_ms: float


class Told(Struct, frozen=True):
    """Unconstrained and constrained questions over so many models, and what it took to take the models in."""

    models: int
    folded_s: float
    unconstrained: Timed
    constrained: Timed


class Filled:
    """Answers over a catalogue, which follows events as in `vedette_recommender.app`."""

    def __init__(self, clock: Clock) -> None:
        self._catalogue = Catalogue()
        self._sequence = 0
        self.answers = Answers(
            catalogue=self._catalogue,
            endpoints=Settings().endpoints,
            use_cases=known({}),
            stale_after=timedelta(hours=1.5),
            base_url=base_url,
            clock=clock,
        )

    def apply(self, event: Event) -> None:
        """Take one event in."""
        self._sequence += 1
        if self._catalogue.apply(event, self._sequence):
            self.answers.changed(event)


def filled(models: int, clock: Clock | None = None) -> tuple[Filled, float]:
    """Return answers over so many models at the time of *clock*, and how long the events took to be taken in."""
    clock = clock or SystemClock()
    made, now, took_s = Filled(clock), clock.now(), 0.0
    for first in range(0, models, 1000):
        events = list(population.events(first, min(first + 1000, models), now))
        began = time.perf_counter()
        for event in events:
            made.apply(event)
        took_s += time.perf_counter() - began
    made.answers.prepare()
    return made, took_s


def timed(answers: Answers, payloads: Iterator[bytes], subject: str, *, seconds: float) -> Timed:
    """Ask one question after the other for so long, at least a few times."""
    began = time.perf_counter()
    answers.answer(subject, next(payloads))
    first_ms = (time.perf_counter() - began) * 1000
    took_ms: list[float] = []
    until = time.perf_counter() + seconds
    while len(took_ms) < _MIN_RUNS or (len(took_ms) < _MAX_RUNS and time.perf_counter() < until):
        payload = next(payloads)
        began = time.perf_counter()
        answers.answer(subject, payload)
        took_ms.append((time.perf_counter() - began) * 1000)
    cuts = statistics.quantiles(took_ms, n=100, method="inclusive")
    return Timed(len(took_ms), first_ms, cuts[49], cuts[98])


def main(models: int, seconds: float) -> None:
    made, folded_s = filled(models)
    free = questions.unconstrained(seed=11, limit=LIMIT)
    bound = questions.different(seed=12, models=models, limit=LIMIT)
    told = Told(
        models,
        folded_s,
        timed(made.answers, free, "recommend.top", seconds=seconds),
        timed(made.answers, bound, "recommend.top", seconds=seconds),
    )
    print(msgspec.json.encode(told).decode(), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
