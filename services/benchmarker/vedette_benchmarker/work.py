"""One measurement: its kind, its model, its job, and how it ended."""

from datetime import datetime
from typing import Protocol

from msgspec import Struct

from vedette.endpoints import OpenEndpoint
from vedette.messages.catalogue import ModelState
from vedette.messages.events import Job
from vedette.types import ModelInfo, Use
from vedette_benchmarker.place import InTurn
from vedette_benchmarker.yielding import GaveWay, Turn, at_any_time


class Work(Struct, frozen=True, kw_only=True):
    """A job for one model at an open endpoint. *turn* is awaited before each request; it raises GaveWay."""

    endpoint: OpenEndpoint
    state: ModelState
    info: ModelInfo  # declared and inferred facts of the model at the start of the job
    job: Job
    turn: Turn = at_any_time

    @property
    def in_turn(self) -> InTurn:
        """The endpoint with requests that await their turns. The wait counts in the figures of such a request."""
        return InTurn(self.endpoint.endpoint, self.turn)

    @property
    def known(self) -> ModelInfo:
        """The model's description, including the results of checks and calls."""
        return self.state.known or self.info


class Ended(Struct, frozen=True, kw_only=True):
    """The end of a measurement: a line for people, and its usage of the endpoint."""

    ok: bool
    detail: str = ""
    use: Use
    gave_way: GaveWay | None = None  # it was stopped because another user needs the server


class Measure(Protocol):
    """One kind of measurement."""

    def is_done(self, state: ModelState, job: Job) -> bool:
        """Return whether *state* already has the result of *job*."""
        ...

    def measured_at(self, state: ModelState) -> datetime | None:
        """Return when the model was last measured in this way, if the result still holds."""
        ...

    def is_due(self, state: ModelState) -> bool:
        """Return whether a tick should measure the model, if it was not measured since."""
        ...

    def is_wanted(self, endpoint: OpenEndpoint) -> bool:
        """Return whether the endpoint's settings allow it by schedule."""
        ...

    def pays(
        self, endpoint: OpenEndpoint, info: ModelInfo, job: Job | None = None, *, today: bool = True
    ) -> bool:
        """Return whether a budget of its own covers *job* if calls are paid: the rest of *today*, or a whole day's."""
        ...

    def estimate(self, endpoint: OpenEndpoint, info: ModelInfo, job: Job) -> Use:
        """Return its maximum usage."""
        ...

    async def run(self, work: Work) -> Ended:
        """Measure, publish, and return how it ended.

        Raises RequestError if the job names something that does not exist, and GaveWay if another user needs the
        server.
        """
        ...
