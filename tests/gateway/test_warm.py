"""Replies kept warm: given at once, asked for again meanwhile, and the last one while no service replies."""

import asyncio
from collections.abc import Iterable

import pytest

from gateways import settled
from vedette.errors import NoAnswer, RequestError
from vedette_gateway.warm import Patience, Reply, Silence, Warm

AWAY = NoAnswer(code="no_answer", message="NATS is away")
REFUSED = RequestError(code="unknown_model", message="gone")


class Service:
    """Counts what it is asked; replies with the count, raises `error`, or waits until `replies` is set."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0
        self.error: Exception | None = None
        self.replies = asyncio.Event()
        self.replies.set()
        self.is_away = False
        self.fits: set[tuple[bytes, bytes]] = set()
        self.silence = Silence(monotonic=lambda: self.now, is_away=lambda: self.is_away)
        self.warm = Warm(
            self.ask,
            monotonic=lambda: self.now,
            silence=self.silence,
            patience=Patience(fresh_s=1.0, usable_s=30.0, wait_s=0.5, give_up_s=1.0, rest_s=0.0),
            fitting=self.fitting,
        )

    def fitting(self, earlier: Iterable[tuple[bytes, int]], request: bytes) -> int | None:
        return next((value for asked, value in earlier if (asked, request) in self.fits), None)

    async def ask(self, _: bytes) -> int:
        self.asked += 1
        with self.silence.asking():
            await self.replies.wait()
            if self.error:
                raise self.error
            return self.asked


async def test_a_fresh_reply_is_not_asked_for_and_an_older_one_meanwhile() -> None:
    service = Service()
    assert await service.warm.of(b"q") == await service.warm.of(b"q") == Reply(1, is_stale=False)
    service.now = 2.0
    assert await service.warm.of(b"q") == Reply(1, is_stale=False)
    await settled()
    assert await service.warm.of(b"q") == Reply(2, is_stale=False)


async def test_an_old_reply_of_a_quiet_hour_is_asked_for_again_first() -> None:
    service = Service()
    await service.warm.of(b"q")
    service.now = 3600.0
    assert await service.warm.of(b"q") == Reply(2, is_stale=False)


@pytest.mark.fault("the broker is away while a gateway chooses", "I4", "I5", "I10")
async def test_while_no_service_replies_the_last_reply_is_given_at_once() -> None:
    """However old it is; one query is on its way, and its answer ends this."""
    service = Service()
    await service.warm.of(b"q")
    service.now, service.error = 3600.0, AWAY
    assert await service.warm.of(b"q") == Reply(1, is_stale=True)  # learns that the service is away
    service.replies.clear()
    for _ in range(20):
        service.now += 60.0
        assert await service.warm.of(b"q") == Reply(1, is_stale=True)  # would never return if it waited
    await settled()
    assert service.asked == 3
    service.error = None
    service.replies.set()
    await settled()
    assert await service.warm.of(b"q") == Reply(3, is_stale=False)


async def test_other_requests_know_too_that_the_service_is_away() -> None:
    service = Service()
    await service.warm.of(b"one")
    await service.warm.of(b"two")
    service.now, service.error = 100.0, AWAY
    await service.warm.of(b"one")
    service.replies.clear()
    assert await service.warm.of(b"two") == Reply(2, is_stale=True)


async def test_a_broken_connection_is_known_without_a_query() -> None:
    service = Service()
    await service.warm.of(b"q")
    service.now, service.is_away = 3600.0, True
    service.replies.clear()
    assert await service.warm.of(b"q") == Reply(1, is_stale=True)
    service.is_away = False
    service.replies.set()
    await settled()
    assert await service.warm.of(b"q") == Reply(2, is_stale=False)


async def test_without_any_reply_the_caller_learns_why() -> None:
    service = Service()
    service.error = AWAY
    with pytest.raises(NoAnswer):
        await service.warm.of(b"q")
    service.error = None
    assert await service.warm.of(b"q") == Reply(2, is_stale=False)


async def test_what_is_refused_now_is_not_given_any_more() -> None:
    """A model that is gone, say: the service is there, and its reply is this error."""
    service = Service()
    await service.warm.of(b"q")
    service.now, service.error = 2.0, REFUSED
    assert await service.warm.of(b"q") == Reply(1, is_stale=False)
    await settled()
    with pytest.raises(RequestError):
        await service.warm.of(b"q")


async def test_a_changed_winner_is_asked_for_at_the_next_request() -> None:
    service = Service()
    await service.warm.of(b"q")
    service.warm.expire(lambda value: value == 1)
    assert await service.warm.of(b"q") == Reply(1, is_stale=False)
    await settled()
    assert await service.warm.of(b"q") == Reply(2, is_stale=False)


@pytest.mark.fault("the broker is away when a request of another kind comes", "I4", "I5")
async def test_a_new_request_gets_a_reply_that_fits_while_no_service_replies() -> None:
    """At once where that is known, else soon; without one that fits, the error comes soon."""
    service = Service()
    service.fits = {(b"more", b"less")}
    assert await service.warm.of(b"more") == Reply(1, is_stale=False)
    service.replies.clear()
    assert await service.warm.of(b"less") == Reply(1, is_stale=True)  # nothing is known of the outage
    service.is_away = True
    assert await service.warm.of(b"less") == Reply(1, is_stale=True)
    async with asyncio.timeout(30):
        with pytest.raises(NoAnswer):
            await service.warm.of(b"other")
    service.replies.set()
    service.is_away = False
    await settled()
    assert not (await service.warm.of(b"less")).is_stale


@pytest.mark.fault("every recommender is frozen, and nothing says so", "I4", "I5")
async def test_a_query_that_waits_for_too_long_tells_the_other_requests() -> None:
    """They get the last replies at once; who has none waits no longer than the patience."""
    service = Service()
    await service.warm.of(b"one")
    service.now = 100.0
    service.replies.clear()
    async with asyncio.timeout(30):
        with pytest.raises(NoAnswer):
            await service.warm.of(b"new")
    service.now = 101.0
    assert await service.warm.of(b"one") == Reply(1, is_stale=True)
    service.replies.set()
    await settled()
    assert not (await service.warm.of(b"one")).is_stale
    assert not (await service.warm.of(b"new")).is_stale


async def test_who_can_do_without_a_reply_waits_only_until_the_outage_is_known() -> None:
    service = Service()
    service.replies.clear()
    async with asyncio.timeout(30):
        with pytest.raises(NoAnswer):
            await service.warm.of(b"new", needed=False)
        service.now = 1.0
        for _ in range(20):  # would take long if each waited
            with pytest.raises(NoAnswer):
                await service.warm.of(b"new", needed=False)
    service.replies.set()
    await settled()
