"""Which questions a model is asked: a first share of each suite, then what a race finds worth asking."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from vedette.clock import Clock
from vedette.messages.catalogue import Catalogue, ModelState
from vedette.messages.events import Job
from vedette.messages.tolerance import is_within
from vedette.messages.validation import spelt, unknown_name
from vedette.settings import Evaluating, Vouched
from vedette.types import Capability, ModelInfo, Outcome, Score
from vedette.usecases import UseCase, levels
from vedette_benchmarker.grading import compared, continues, first_share, planned
from vedette_benchmarker.racing import PART, Entrant, Questions, entrant, race
from vedette_benchmarker.suites import Suite

_REST = timedelta(hours=6)  # of a model whose last evaluation brought no answers


class Selecting:
    """Selects suites and numbers of items, by the catalogue and the use cases."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        suites: Sequence[Suite],
        settings: Evaluating,
        clock: Clock,
        use_cases: Mapping[str, UseCase],
        vouched: Sequence[Vouched] = (),
    ) -> None:
        self._catalogue = catalogue
        self._suites = suites
        self._at_levels = {name: level for suite in suites for name, level in suite.asked.items()}
        self._settings = settings
        self._clock = clock
        self._use_cases = use_cases
        self._vouched = vouched

    def reload(self, use_cases: Mapping[str, UseCase], vouched: Sequence[Vouched]) -> None:
        """From now on, use the suites for *use_cases*, and the ratings *vouched*."""
        self._use_cases = use_cases
        self._vouched = vouched

    def first_share(self, state: ModelState, info: ModelInfo) -> dict[str, int]:
        """Return how many items to ask of each suite without a score: few, unless the suite does not race.

        A suite that measures no use case does not race. New weights, or a new server, get questions at the same
        levels as before, so that the scores can be compared.
        """
        scores = self.scores_so_far(state, info)
        before = state.evaluated.event.quality.scores if state.evaluated and not scores else {}
        raced = {kind for use_case in self._use_cases.values() for kind in use_case.kinds}
        found: dict[str, int] = {}
        for suite in self.fitting(info, ()):
            if not is_of(scores.get(suite.kind), suite):
                share = self._share(suite) if suite.kind in raced else self._settings.items
                found |= compared(suite, before, self._settings.items) or {suite.kind: share}
        return found

    def _share(self, suite: Suite) -> int:
        return min(first_share(suite), self._settings.items)

    async def questions(self) -> list[Questions]:
        """Return the questions that are worth asking now, by the catalogue: highest gain first."""
        return await self._race(self._catalogue.present())

    async def _race(self, states: Iterable[ModelState]) -> list[Questions]:
        # In a thread: with a thousand models it takes 0.2 s, which would be in the times measured meanwhile.
        return await asyncio.to_thread(race, self._entrants(states), self._use_cases)

    def _entrants(self, states: Iterable[ModelState]) -> list[Entrant]:
        """Return the models that race. Of several names for the same weights at one endpoint, only one races."""
        by_weights: dict[tuple[str, str], ModelState] = {}
        for state in sorted(states, key=lambda one: (one.quality is None, one.model)):
            digest = state.info.digest if state.info else None
            by_weights.setdefault((state.model.endpoint, digest or f"/{state.model.name}"), state)
        found = (self._entrant(state) for state in by_weights.values())
        return [one for one in found if one is not None]

    def _entrant(self, state: ModelState) -> Entrant | None:
        scores = state.quality.scores if state.quality else {}
        askable = [
            name for suite in self._suites if is_of(scores.get(suite.kind), suite) for name in suite.asked
        ]
        names = (str(state.model), state.model.name)
        configured = [one for one in self._vouched if one.model in names]
        return entrant(state, askable, configured, rests=self._rests(state))

    def _rests(self, state: ModelState) -> bool:
        """Return whether the model gets no questions: its first share is queued, or its last evaluation failed."""
        if state.evaluated is None or state.quality is None or not state.quality.scores:
            return True
        last = state.evaluated.event
        failed = last.outcome is not Outcome.OK or not last.scores
        return failed and is_within(last.at, self._clock.now(), _REST)

    async def wanted(self, state: ModelState, info: ModelInfo, job: Job) -> list[tuple[Suite, int]]:
        """Return the suites to ask, and the number of items of each. Raises RequestError for an unknown suite.

        An operator's job asks every suite. Other jobs ask the first share, or the questions with the highest gain
        now, because other models may have been evaluated since the job was queued.
        """
        named = self._known(job.suites)
        suites = self.fitting(info, named)
        if job.cause == "manual":
            scores = self.scores_so_far(state, info)
            return [
                (suite, planned(tuple(_held(scores, suite).values()), self._settings)) for suite in suites
            ]
        items: Mapping[str, int] = {} if named else self.first_share(state, info)
        if not items and not named and info.digest is None:
            items = {suite.kind: self._share(suite) for suite in suites}
        if not items:
            items = await self._worth_asking(state)
        return [(suite, items[name]) for name, suite in self._at_levels.items() if name in items]

    async def _worth_asking(self, state: ModelState) -> Mapping[str, int]:
        others = [one for one in self._catalogue.present() if one.model != state.model]
        found = await self._race([state, *others])
        return next((one.items for one in found if one.model == state.model), {})

    def scores_so_far(self, state: ModelState, info: ModelInfo) -> Mapping[str, Score]:
        """Return the scores to which this evaluation adds."""
        observed, last = self._catalogue.endpoint(info.model.endpoint), state.evaluated
        version = observed.server_version if observed else None
        return (
            last.event.quality.scores if last and continues(last.event.quality, info.digest, version) else {}
        )

    def _known(self, named: Sequence[str]) -> list[str]:
        """Return the suites that *named* spells. Raises RequestError for an unknown suite."""
        known, found = [suite.kind for suite in self._suites], []
        for name in named:
            if (kind := spelt(name, known)) is None:
                raise unknown_name("suite", name, known, field="suites")
            found.append(kind)
        return found

    def fitting(self, info: ModelInfo, named: Sequence[str]) -> list[Suite]:
        """Return the suites for a model: *named*, or all; without those that need a capability that it lacks."""
        wanted = [suite for suite in self._suites if not named or suite.kind in named]
        return [suite for suite in wanted if _may_be_asked(info, suite)]


def next_part(suite: Suite, count: int, scores: Mapping[str, Score], job: Job) -> tuple[Suite, int]:
    """Return the level of *suite* to ask now, and how many of *count* items.

    An operator's job asks a few at a time, each at the level that fits the answers so far. Other jobs name their
    levels.
    """
    if job.cause != "manual" or not suite.levels:
        return suite, count
    given = {
        name: (held.successes * held.weight, held.counted) for name, held in _held(scores, suite).items()
    }
    level = levels.fitting(given, suite.kind, suite.asked)
    return suite.asked[levels.key(suite.kind, level)], min(count, PART)


def _held(scores: Mapping[str, Score], suite: Suite) -> dict[str, Score]:
    """Return the *scores* of this version of *suite*, by kind and level."""
    return {
        name: held for name, level in suite.asked.items() if (held := scores.get(name)) and is_of(held, level)
    }


def is_of(score: Score | None, suite: Suite) -> bool:
    """Return whether *score* is of this version of *suite*."""
    return score is not None and score.suite == suite.name and score.trials > 0


def _may_be_asked(info: ModelInfo, suite: Suite) -> bool:
    embeds = suite.needs is Capability.EMBEDDING
    if embeds is not (info.kind == "embedding") or info.asked_as not in ("chat", "embedding"):
        return False
    needed = info.capabilities.get(str(suite.needs)) if suite.needs else None
    return needed is None or needed.value
