"""How a service waits for what it needs to start."""

import asyncio

import nats.errors
import nats.js.errors
import pytest

from leaping import leaping
from vedette.errors import BusUnreachable, ConfigurationError
from vedette.runtime.connection_errors import MAX_REPORTED, ConnectionErrors
from vedette.runtime.process import elsewhere
from vedette.runtime.waiting import Start, insist


class _Attempts:
    """Fails with each of *errors* in turn, then returns "there"."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "there"


@leaping
async def test_what_may_pass_is_tried_again() -> None:
    """With the reason of each attempt, and a pause that grows."""
    told: list[tuple[str, float]] = []
    attempts = _Attempts(
        BusUnreachable(url="nats://n:4222", problem="no NATS server listens there"),
        nats.js.errors.NotFoundError(),
    )
    assert await insist(attempts, lambda *what: told.append(what)) == "there"
    assert told == [
        ("nats://n:4222: no NATS server listens there", 1.0),
        ('Vedette\'s streams are not there yet; "vedette provision" makes them', 2.0),
    ]


async def test_a_wrong_configuration_is_not_waited_for() -> None:
    """No time makes it right."""
    attempts = _Attempts(ConfigurationError(where="nats.url", problem="not set"))
    with pytest.raises(ConfigurationError):
        await insist(attempts, lambda *_: None)


class _Running:
    async def ready(self) -> str | None:
        return None

    async def notes(self) -> str | None:
        return "a note"


def test_readiness_says_what_is_waited_for() -> None:
    """Once to a person, however often it is tried, and nothing once the service has started."""
    said: list[str] = []

    async def scenario() -> None:
        start = Start("prober", said.append)
        assert await start.ready() == "starting"
        start.waits("no NATS server listens there", 1.0)
        start.waits("no NATS server listens there", 2.0)
        assert await start.ready() == "waiting: no NATS server listens there"
        assert await start.notes() is None
        start.done(_Running())
        assert await start.ready() is None
        assert await start.notes() == "a note"

    asyncio.run(scenario())
    assert said == ["waiting   prober: no NATS server listens there"]


def test_an_error_of_a_connection_is_reported_once_until_it_is_made_again() -> None:
    """There is an attempt each second; before the first connection, the error that is raised has the reason."""
    errors = ConnectionErrors()
    refused = ConnectionRefusedError("[Errno 111] Connect call failed")
    assert errors.take(refused) is None
    errors.connected()
    assert errors.take(refused) == "ConnectionRefusedError: [Errno 111] Connect call failed"
    assert errors.take(refused) is None
    assert errors.away() == "NATS is away: no NATS server listens there"
    errors.connected()
    others = [errors.take(OSError(f"error {n}")) for n in range(MAX_REPORTED + 5)]
    assert len([one for one in others if one]) == MAX_REPORTED


def test_work_that_finds_the_connection_closed_is_no_error() -> None:
    errors = ConnectionErrors()
    errors.connected()
    assert errors.take(nats.errors.ConnectionClosedError()) is None
    assert errors.last is None


def test_what_a_login_may_not_do_is_known() -> None:
    """As nats-py reports what the server says; an error of the network is none of it."""
    errors = ConnectionErrors()
    errors.connected()
    errors.take(nats.errors.Error("nats: unexpected eof"))
    assert errors.refused() is None
    errors.take(
        nats.errors.Error('nats: permissions violation for publish to "$js.api.consumer.msg.next.a.b"')
    )
    assert errors.refused() == 'this login on NATS may not publish to "$js.api.consumer.msg.next.a.b"'


def test_another_port_than_usual_is_said() -> None:
    """Who follows the README asks the usual port, which may be another Vedette's."""
    assert elsewhere("http://127.0.0.1:40663", 7717) == " (another program has the port 7717)"
    assert elsewhere("http://127.0.0.1:7717", 7717) == ""
    assert elsewhere("http://127.0.0.1:40663", None) == ""  # a free port is configured
