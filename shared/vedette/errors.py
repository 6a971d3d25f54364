"""Every error that Vedette raises on purpose.

    VedetteError
    ├── ConfigurationError
    ├── StateDirectoryError
    ├── NotRunning
    ├── Interrupted
    ├── BusError
    │   ├── ChildFailed
    │   ├── BusUnreachable
    │   ├── ReloadFailed
    │   ├── ConsumerVanished
    │   ├── NoLeader
    │   ├── JetStreamOff
    │   ├── ProvisioningError
    │   │   └── StorageTooSmall
    │   ├── MessageTooLarge
    │   ├── TooMany
    │   └── Conflict
    ├── RequestError
    │   └── NoAnswer
    ├── NoCandidate
    ├── FellBehind
    ├── Deferred
    │   └── ClockWrong
    ├── ProviderError
    ├── UndecodableMessage
    │   └── UnknownEvent
    ├── TooFewSamples
    ├── NoSandbox
    └── NotGraded

A class names the text of its message; its fields fill the braces. A class exists only if some caller catches it.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from signal import Signals
from typing import Any, ClassVar, dataclass_transform

from vedette.types import Exchange, Outcome

# Until then another replica, whose clock is right, may take the work.
_CLOCK_RETRY_S = 5.0


@dataclass_transform(eq_default=False, kw_only_default=True)
class VedetteError(Exception):
    """An error that a user can fix."""

    _text: ClassVar[str] = ""

    def __init_subclass__(cls, *, text: str | None = None) -> None:
        """Take the *text* of the message; without one, a class has that of its base."""
        if text is not None:
            cls._text = text
        dataclass(eq=False, repr=False, kw_only=True)(cls)

    def __post_init__(self) -> None:
        super().__init__(self._text.format(**self.fields))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).__new__, (type(self), *self.args), self.__dict__

    @property
    def fields(self) -> dict[str, Any]:
        """The values of its fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(type(self))}  # type: ignore[arg-type]


class ConfigurationError(VedetteError, text="{where}: {problem}"):
    """A file, key or value of the configuration is wrong."""

    where: str | Path
    problem: str


class StateDirectoryError(VedetteError, text="{path}: {problem}"):
    """The state directory is in use or cannot be written."""

    path: Path
    problem: str


class NotRunning(
    VedetteError,
    text="no running Vedette was found ({problem}); {remedy}",
):
    """There is no Vedette to connect to."""

    problem: str
    remedy: str = 'start one with "vedette up", or use --state-dir or --nats'


class Interrupted(VedetteError, text="stopped by {number.name}"):
    """A signal ended the command before its work was done."""

    number: Signals


class BusError(VedetteError, text="NATS failed; see its log"):
    """NATS failed, or something that Vedette needs from it."""


class ChildFailed(BusError, text="{problem}"):
    """A service in a process of its own ended, or does not reply."""

    problem: str


class BusUnreachable(BusError, text="{url}: {problem}"):
    """No NATS server answers, or none accepts this login."""

    url: str
    problem: str


class ReloadFailed(
    BusError, text='The NATS server at {server} did not reload its accounts: {problem}. Restart "vedette up".'
):
    """The NATS server did not reload its accounts."""

    server: str
    problem: str


class ConsumerVanished(
    BusError,
    text="the consumer {durable} of the stream {stream} was deleted; restart the service to create it again",
):
    """A durable consumer was deleted under a running service."""

    durable: str
    stream: str


class NoLeader(
    BusError,
    text="the stream {stream} has no leader: too few of its NATS servers run; start those that are down",
):
    """Too few servers of a cluster run for a stream to have a leader."""

    stream: str


class JetStreamOff(BusError, text="{where}: JetStream is not switched on. {remedy}"):
    """The NATS server, or this account there, has no JetStream."""

    where: str
    remedy: str


class ProvisioningError(BusError, text="stream {stream}: {problem}"):
    """A stream cannot be created or altered."""

    stream: str | None
    problem: str


class StorageTooSmall(ProvisioningError):
    """The NATS server has less storage than a stream needs."""


class MessageTooLarge(
    BusError,
    text="{subject}: the message has {size} bytes, more than the NATS server accepts ({limit}, max_payload); "
    "raise max_payload of the NATS server",
):
    """A message is larger than the NATS server accepts."""

    subject: str
    size: int
    limit: int


class TooMany(BusError, text="stream {stream}: more subjects match than the NATS server lists at once"):
    """A batched read matches more subjects than the broker lists at once."""

    stream: str


class Conflict(
    BusError,
    text="{subject}: not changed, because other processes changed it {attempts} times meanwhile; try again",
):
    """Compare-and-set failed too often: others kept changing the state."""

    subject: str
    attempts: int


class RequestError(VedetteError, text="{message}"):
    """A request is wrong, or cannot be answered. `field` is the path of the wrong field."""

    code: str
    message: str
    field: str | None = None


class NoAnswer(RequestError):
    """No service can reply now."""


class NoCandidate(VedetteError, text="no model for {use_case} can be called: {problem}"):
    """No model that fits can be called."""

    use_case: str
    problem: str


class FellBehind(
    VedetteError, text="this watcher reads too slowly: {most} events wait, and later events are lost"
):
    """A watcher took its events too slowly."""

    most: int


class Deferred(VedetteError, text="{problem}"):
    """A job that must wait: it is queued again after `wait_s`."""

    wait_s: float
    problem: str


class ClockWrong(Deferred):
    """The clock of this process is wrong: it gives its work back."""

    wait_s: float = _CLOCK_RETRY_S


class ProviderError(VedetteError, text="{detail}"):
    """A contact with a model server failed; `outcome` says how."""

    outcome: Outcome
    detail: str
    remedy: str | None  # the end of the detail, if it is more specific than the remedy of the outcome
    retry_after_s: float | None
    exchange: Exchange | None
    context_tokens: int | None  # the context that is served, where a refusal names it

    def __init__(
        self,
        outcome: Outcome,
        detail: str,
        *,
        retry_after_s: float | None = None,
        exchange: Exchange | None = None,
        remedy: str | None = None,
        context_tokens: int | None = None,
    ) -> None:
        self.outcome = outcome
        self.detail = f"{detail}; {remedy}" if remedy else detail
        self.remedy = remedy
        self.retry_after_s = retry_after_s
        self.exchange = exchange
        self.context_tokens = context_tokens
        self.__post_init__()


class UndecodableMessage(VedetteError, text="{subject}: {problem}"):
    """The bytes are not a valid message for their subject."""

    subject: str
    problem: str


class UnknownEvent(UndecodableMessage):
    """An event that this version does not know."""

    problem: str = "this version of Vedette does not know this event"


class TooFewSamples(VedetteError, text="{figure} needs {needed} samples and has {given}"):
    """There are too few samples for a figure."""

    figure: str
    needed: int
    given: int


class NoSandbox(VedetteError, text="programs cannot be run in isolation here: {problem}"):
    """A program was not run, because it could not be isolated."""

    problem: str


class NotGraded(VedetteError, text="the answer could not be graded: {problem}"):
    """An answer is neither right nor wrong, because grading it failed."""

    problem: str
