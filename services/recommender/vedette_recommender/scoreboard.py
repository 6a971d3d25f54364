"""The catalogue as columns, and the field of each use case; events keep both current. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from vedette.knowledge import Table
from vedette.messages.catalogue import Catalogue
from vedette.settings import Vouched
from vedette.types import ModelRef
from vedette.usecases import UseCase
from vedette_recommender import expecting
from vedette_recommender.candidate import Candidate, Facts, candidate, facts_of
from vedette_recommender.columns import Columns
from vedette_recommender.field import UseCaseScores
from vedette_recommender.standing import Standing


class Scoreboard:
    """All present models at one minute. Call `touch` when a model changed, `at` at a new minute.

    Nothing is computed before a query needs it: a thousand events between two queries cost each model once.
    """

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        use_cases: Mapping[str, UseCase],
        stale_after: timedelta,
        ratings: Sequence[Vouched] = (),
        published: Table | None = None,
        closed: Mapping[str, str] | None = None,
    ) -> None:
        self.scored_at = datetime.min
        self._catalogue = catalogue
        self._use_cases = use_cases
        self._stale_after = stale_after
        self._ratings = ratings
        self._columns = Columns(published=published, closed=closed)
        # With the current load of servers, and without it.
        self._standings: dict[bool, Standing] = {}
        self._fields: dict[tuple[str, bool], UseCaseScores] = {}
        self._touched = {state.model for state in catalogue.present()}
        self._pressed = {model.endpoint for model in self._touched}

    def touch(self, model: ModelRef) -> None:
        """Have *model* looked at again."""
        self._touched.add(model)

    def press(self, endpoint: str) -> None:
        """Have the load of *endpoint* looked at again."""
        self._pressed.add(endpoint)

    def at(self, scored_at: datetime) -> None:
        """Move on to another minute."""
        self.scored_at = scored_at

    @property
    def columns(self) -> Columns:
        """The models, as they are now."""
        self.settle()
        return self._columns

    def any_field(self) -> UseCaseScores:
        """Return any use case's field, for values that are the same in all fields."""
        return self.field(next(iter(self._use_cases)))

    def field(self, use_case: str, *, load: bool = True) -> UseCaseScores:
        """Return the field of *use_case*, as it is now: with what servers work on, or without."""
        columns = self.columns
        load = load or not columns.loads  # where no server reports its load, both are the same
        field = self._fields.get((use_case, load))
        if field is None:
            standing = self._standings.get(load)
            if standing is None:
                stale_after_s = self._stale_after.total_seconds()
                standing = self._standings[load] = Standing(columns, stale_after_s, load=load)
            field = UseCaseScores(self._use_cases[use_case], columns, standing)
            self._fields[use_case, load] = field
        field.refresh(self.scored_at.timestamp())
        return field

    def statuses(self) -> NDArray[np.int8]:
        """Return the status that may be believed at this minute, by row."""
        columns, rows = self.columns, slice(None)
        return columns.statuses(self.scored_at.timestamp(), self._stale_after.total_seconds(), rows)

    def model(self, row: int) -> ModelRef:
        """Return which model is in *row*. Raises LookupError when none is."""
        facts = self.columns.facts[row]
        if facts is None:
            raise LookupError(f"no model is in row {row}")
        return facts.model

    def candidate(self, facts: Facts) -> Candidate:
        """Return the model of *facts* as it must be seen at this minute."""
        load, loaded = self.columns.loads.get(facts.model.endpoint), None
        if load is not None and load.until >= self.scored_at.timestamp():
            loaded = load.resident(facts.model.name)
        return candidate(facts, self.scored_at, stale_after=self._stale_after, loaded=loaded)

    def candidates(self, rows: Iterable[int]) -> Iterator[Candidate]:
        """Yield the models in *rows* as they must be seen at this minute."""
        facts = (self.columns.facts[row] for row in rows)
        return (self.candidate(one) for one in facts if one is not None)

    def settle(self) -> None:
        """Update the columns with received events."""
        if self._touched:
            self._settle_models()
        if self._pressed:
            self._settle_loads()

    def _settle_loads(self) -> None:
        """Take in the last loads. Scores without them stay as they are."""
        changed: set[int] = set()
        for endpoint in sorted(self._pressed):
            load = self._catalogue.load(endpoint)
            if load is not None:
                changed.update(self._columns.press(load))
        self._pressed.clear()
        if (standing := self._standings.get(True)) is not None:
            standing.press(changed)
        for (_, by_load), field in self._fields.items():
            if by_load:
                field.press(changed)

    def _settle_models(self) -> None:
        known: list[tuple[ModelRef, Facts | None]] = []
        for model in self._touched:
            state = self._catalogue.get(model)
            known.append((model, facts_of(state, configured=self._ratings) if state else None))
        self._touched.clear()
        new = sum(facts is not None and model not in self._columns.rows for model, facts in known)
        if len(self._columns) + new > self._columns.room:
            self._columns = self._columns.with_room_for(len(self._columns) + new)
            self._fields.clear()
            self._standings.clear()
        changed: set[int] = set()
        for model, facts in known:
            row = self._columns.drop(model) if facts is None else self._columns.put(facts)
            if row is not None:
                changed.add(row)
        changed |= expecting.settle(self._columns)
        for standing in self._standings.values():
            standing.touch(changed)
        for field in self._fields.values():
            field.touch(changed)
