"""Every error that Vedette raises on purpose.

    VedetteError
    ├── ConfigurationError        a file, key or value of the configuration
    ├── StateDirectoryError       the state directory is in use or cannot be written
    ├── NotRunning                nothing to talk to
    ├── Interrupted               a signal ended the command before its work was done
    ├── BusError
    │   ├── BusUnreachable        no NATS server, or none that lets us in
    │   ├── ChildFailed           a service in a process of its own ended, or does not reply
    │   ├── ConsumerVanished      a durable consumer was deleted under a running service
    │   ├── JetStreamOff          the NATS server, or this account there, has no JetStream
    │   ├── ReloadFailed          the NATS server did not reload its accounts
    │   ├── ProvisioningError     a stream cannot be made or altered
    │   ├── TooMany               a batched read of more subjects than the broker lists
    │   └── Conflict              compare-and-set lost too often
    ├── RequestError              a request that cannot be answered as asked; carries the field's path
    │   └── NoAnswer              no service can reply now
    ├── NoCandidate               no model that fits can be called
    ├── FellBehind                a watcher that took its events too slowly
    ├── NotYet                    a job whose time has not come; it is given back until then
    │   └── ClockWrong            this process's clock may not be used; its work is given back
    ├── ProviderError             a contact that failed; carries an Outcome
    ├── UndecodableMessage        bytes that are not the message their subject promises
    │   └── UnknownEvent          an event that this version does not know
    ├── TooFewSamples             a figure that too few samples cannot carry
    ├── NoSandbox                 a program that was not run, because it could not be isolated
    └── NotGraded                 an answer that is neither right nor wrong, because grading it failed

A class's docstring is its message; its fields fill the braces. A class exists only if some caller catches it.
"""

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from signal import Signals
from typing import Any, dataclass_transform

from vedette.types import Exchange, Outcome

# Until then another replica, whose clock is right, may take the work.
_CLOCK_RETRY_S = 5.0


@dataclass_transform(eq_default=False, kw_only_default=True)
class VedetteError(Exception):
    """An error that a user can fix."""

    def __init_subclass__(cls) -> None:
        dataclass(eq=False, repr=False, kw_only=True)(cls)

    def __post_init__(self) -> None:
        if sys.flags.optimize > 1:  # `python -OO` and PYTHONOPTIMIZE=2 leave docstrings out
            message = ": ".join(str(value) for value in self.fields.values() if value is not None)
        else:
            message = (type(self).__doc__ or "").strip().format(**self.fields)
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).__new__, (type(self), *self.args), self.__dict__

    @property
    def fields(self) -> dict[str, Any]:
        """The values of its fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(type(self))}  # type: ignore[arg-type]


class ConfigurationError(VedetteError):
    """{where}: {problem}"""  # noqa: D400 - a message, not a sentence

    where: str | Path
    problem: str


class StateDirectoryError(VedetteError):
    """{path}: {problem}"""  # noqa: D400

    path: Path
    problem: str


class NotRunning(VedetteError):
    """no running Vedette was found ({problem}); start one with "vedette up", or use --state-dir or --nats"""  # noqa: D400

    problem: str


class Interrupted(VedetteError):
    """stopped by {number.name}"""  # noqa: D400

    number: Signals


class BusError(VedetteError):
    """The bus failed."""


class ChildFailed(BusError):
    """{problem}"""  # noqa: D400

    problem: str


class BusUnreachable(BusError):
    """{url}: {problem}"""  # noqa: D400

    url: str
    problem: str


class ReloadFailed(BusError):
    """The NATS server at {server} did not reload its accounts: {problem}. Restart "vedette up"."""

    server: str
    problem: str


class ConsumerVanished(BusError):
    """the consumer {durable} of the stream {stream} was deleted; starting again recreates it"""  # noqa: D400

    durable: str
    stream: str


class NoLeader(BusError):
    """the stream {stream} has no leader: not enough of its NATS servers run"""  # noqa: D400

    stream: str


class JetStreamOff(BusError):
    """{where}: JetStream is not switched on. {remedy}"""  # noqa: D400

    where: str
    remedy: str


class ProvisioningError(BusError):
    """stream {stream}: {problem}"""  # noqa: D400

    stream: str | None
    problem: str


class StorageTooSmall(ProvisioningError):
    """stream {stream}: {problem}"""  # noqa: D400


class MessageTooLarge(BusError):
    """{subject}: the message has {size} bytes, and the NATS server takes {limit} (max_payload)"""  # noqa: D400

    subject: str
    size: int
    limit: int


class TooMany(BusError):
    """stream {stream}: more subjects match than the NATS server lists at once"""  # noqa: D400

    stream: str


class Conflict(BusError):
    """{subject}: changed by others {attempts} times while this change was being written"""  # noqa: D400

    subject: str
    attempts: int


class RequestError(VedetteError):
    """{message}"""  # noqa: D400

    code: str
    message: str
    field: str | None = None


class NoAnswer(RequestError):
    """{message}"""  # noqa: D400


class NoCandidate(VedetteError):
    """no model for {use_case} can be called: {problem}"""  # noqa: D400

    use_case: str
    problem: str


class FellBehind(VedetteError):
    """more than {most} events wait for this watcher; later events are lost"""  # noqa: D400

    most: int


class NotYet(VedetteError):
    """{problem}"""  # noqa: D400

    wait_s: float
    problem: str


class ClockWrong(NotYet):
    """{problem}"""  # noqa: D400

    wait_s: float = _CLOCK_RETRY_S


class ProviderError(VedetteError):
    """{detail}"""  # noqa: D400

    outcome: Outcome
    detail: str
    remedy: str | None  # the end of the detail, where more is known than the outcome tells
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


class UndecodableMessage(VedetteError):
    """{subject}: {problem}"""  # noqa: D400

    subject: str
    problem: str


class UnknownEvent(UndecodableMessage):
    """{subject}: {problem}"""  # noqa: D400

    problem: str = "no event that this version of Vedette knows"


class TooFewSamples(VedetteError):
    """{figure} needs {needed} samples and has {given}"""  # noqa: D400

    figure: str
    needed: int
    given: int


class NoSandbox(VedetteError):
    """programs cannot be run in isolation here: {problem}"""  # noqa: D400

    problem: str


class NotGraded(VedetteError):
    """the answer could not be graded: {problem}"""  # noqa: D400

    problem: str
