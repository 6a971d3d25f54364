"""One measurement: which model it is of, for which job, and how it ended."""

from msgspec import Struct

from vedette.endpoints import OpenEndpoint
from vedette.messages.catalogue import ModelState
from vedette.messages.events import Job
from vedette.types import ModelInfo, Use
from vedette_benchmarker.yielding import GaveWay, Turn, at_any_time


class Work(Struct, frozen=True, kw_only=True):
    """A job for one model at an open endpoint. *turn* is awaited before each request; it raises GaveWay."""

    endpoint: OpenEndpoint
    state: ModelState
    info: ModelInfo  # what is declared and inferred of the model, when the job began
    job: Job
    turn: Turn = at_any_time

    @property
    def known(self) -> ModelInfo:
        """The model's description with what checks and calls showed, in addition to what is declared."""
        return self.state.known or self.info


class Ended(Struct, frozen=True, kw_only=True):
    """How a measurement ended, in a line for people, and what it used of the endpoint."""

    ok: bool
    detail: str = ""
    use: Use
    gave_way: GaveWay | None = None  # it was stopped, because another user needs the server
