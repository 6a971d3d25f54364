"""Open pages ask again at the same moments, and what they show alike is made once."""

import asyncio

import httpx
import pytest

from consoles import OPERATOR, Rig, fleet
from eventually import eventually
from samples import lifecycle_event, probe_event
from vedette.messages.events import Progress
from vedette.testing import EPOCH
from vedette.types import ModelRef
from vedette_console import beats
from vedette_console.beats import Beats
from vedette_console.changes import Changes

PART = {"hx-request": "true"}
MODEL = ModelRef("gpu", "qwen3:8b")


async def test_all_who_wait_have_the_same_beat() -> None:
    several = Beats(every_s=0.0, soon_s=0.0)
    await asyncio.gather(*(several.next() for _ in range(20)))
    assert several.number == 1
    await several.next()
    assert several.number == 2


async def test_what_was_heard_comes_once_more_when_nothing_follows() -> None:
    """A thousand events of a kind are one word, and no page is too slow for them."""
    changes = Changes()
    with changes.listening(alike=beats.kind_of) as listener:
        assert listener
        for number in range(1500):
            changes.apply("MODELS", probe_event(MODEL, at=EPOCH, job_id=str(number)), number)
        assert not listener.ended
        kinds = beats.kinds_at_beats(listener, Beats(every_s=0.0, soon_s=0.0), late_s=0.0)
        assert [await anext(kinds), await anext(kinds)] == [{"model"}, {"model"}]
        listener.end()
        assert [some async for some in kinds] == []


async def test_what_was_heard_comes_once_more_while_other_things_happen() -> None:
    """Loads come every second or so: what a model became is repeated all the same, and only once."""
    changes = Changes()
    with changes.listening(alike=beats.kind_of) as listener:
        assert listener
        kinds = beats.kinds_at_beats(listener, Beats(every_s=0.0, soon_s=0.01), late_s=0.05)
        changes.apply("MODELS", probe_event(MODEL, at=EPOCH, job_id="1"), 1)
        found = list[set[str]]()
        async with asyncio.timeout(60):
            while sum("model" in some for some in found) < 2 or len(found) < 40:
                changes.progress(Progress(job_id="j", at=EPOCH, state="step"), EPOCH)
                found.append(await anext(kinds))
        assert sum("model" in some for some in found) == 2


@pytest.mark.parametrize("path", ["/", "/why/chat", "/models/gpu/qwen3:8b"])
async def test_a_part_is_made_once_for_all_pages(path: str) -> None:
    """Of an address and a role; what failed is asked for again."""
    rig = Rig(fleet(6))
    async with rig.client(**PART) as page:
        rig.asking.away = True
        assert (await page.get(path)).status_code == 503
        rig.asking.away = False
        first = await page.get(path)
        asked = len(rig.asking.asked)
        second = await page.get(path, headers={"accept-encoding": "identity"})
        assert (second.status_code, second.text) == (200, first.text)
        assert len(rig.asking.asked) == asked
        await page.get(path, headers={"authorization": f"Bearer {OPERATOR}"})
        assert len(rig.asking.asked) > asked


async def test_what_pages_ask_for_at_a_beat_is_of_the_last_event() -> None:
    rig = Rig(fleet(6))
    gone = ModelRef("attic", "qwen2.5-coder:32b")
    async with (
        asyncio.timeout(60),
        rig.served() as url,
        httpx.AsyncClient(base_url=url, headers=PART, timeout=60) as page,
        page.stream("GET", "/live") as live,
    ):
        await eventually(lambda: _listening(rig), what="the page listens")
        assert str(gone) in (await page.get("/models")).text
        rig.hear(lifecycle_event("lost", gone, at=EPOCH, revision=2))
        rig.announce("chat")
        async for line in live.aiter_lines():
            if line.startswith("data: "):
                assert line == 'data: ["answer","model"]'
                break
        assert str(gone) not in (await page.get("/models")).text


async def _listening(rig: Rig) -> bool:
    return bool(rig.changes.listeners)
