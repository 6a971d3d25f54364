"""Open pages hear of changed endpoints when a recommender has taken the change on, not before."""

import asyncio
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec
import pytest

from vedette.errors import NoAnswer
from vedette.messages.events import AsOf, EndpointAppeared, EndpointDefined
from vedette.messages.queries import EndpointsReply
from vedette.testing import EPOCH
from vedette_console.asking import Asking
from vedette_console.changes import Changes
from vedette_console.redefining import Redefining, until_in_force

T = TypeVar("T", bound=msgspec.Struct)
DEFINED = EndpointDefined(id="d", at=EPOCH, endpoint="gpu", action="remove", removed=True)
APPEARED = EndpointAppeared(id="a", at=EPOCH, source="dns", endpoint="box", state="gone")


class Recommenders(Asking):
    """Recommenders that reply as far as *replies* say, the last of them from then on: DEFINITIONS and APPEARED."""

    def __init__(self, *replies: tuple[int | None, int | None]) -> None:
        self._replies: Iterator[tuple[int | None, int | None]] = iter(replies)
        self._now: tuple[int | None, int | None] = (None, None)
        self.asked = 0

    async def ask(self, subject: str, reply: type[T], request: Any = None) -> T:
        self.asked += 1
        self._now = definitions, appeared = next(self._replies, self._now)
        if definitions == -1:
            raise NoAnswer(code="no_answer", message="no reply")
        made = EndpointsReply(
            endpoints=(), as_of=AsOf(sequence=0, scored_at=EPOCH), definitions=definitions, appeared=appeared
        )
        return msgspec.convert(msgspec.to_builtins(made), reply)


@pytest.mark.parametrize(
    ("replies", "asked"),
    [
        ([(4, 9), (5, 9)], 2),
        ([(5, 6), (5, 7)], 2),
        ([(None, None)], 1),  # it follows no definitions
        ([(-1, 0)], 1),  # none replies: the page says so itself
    ],
)
async def test_a_change_is_in_force_when_a_recommender_says_so(
    replies: list[tuple[int | None, int | None]], asked: int
) -> None:
    recommenders = Recommenders(*replies)
    await until_in_force(recommenders, definitions=5, appeared=7)
    assert recommenders.asked == asked


async def test_pages_hear_once_it_is_in_force() -> None:
    changes, recommenders = Changes(), Recommenders((4, 7), (5, 7))
    redefining = Redefining(recommenders, changes)
    with changes.listening() as listener:
        assert listener is not None
        running = asyncio.create_task(redefining.run())
        redefining.on_defined(DEFINED, 5)
        redefining.on_appeared(APPEARED, 7)
        news = listener.received(lambda: 60.0)
        received = [await anext(news), await anext(news)]
        assert recommenders.asked == 2
        assert {type(one.content) for one in received if one} == {EndpointDefined, EndpointAppeared}
        running.cancel()
