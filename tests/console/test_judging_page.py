"""The page of a judge: what a session takes, and each press starts what comes next of it."""

import html
import re

from consoles import OPERATOR, Rig, fleet
from vedette.messages.events import ModelJudged
from vedette.testing import EPOCH
from vedette.types import Judged, ModelRef, Prose

TEXTS = tuple(Prose(place=place, text="a text") for place in range(8))


async def test_an_operator_has_texts_written_and_then_compared() -> None:
    """By models whose calls cost nothing, and by the judge that the page names."""
    rig = Rig(fleet(60))
    async with rig.client(authorization=f"Bearer {OPERATOR}") as operator:
        assert 'href="/judge/chat"' in (await operator.get("/why/chat")).text
        shown = (await operator.get("/judge/chat")).text
        assert "The calls cost nothing." in shown
        judge = ModelRef.parse(html.unescape(re.findall('<p class="lead"><a[^>]*>([^<]*)</a>', shown)[0]))
        assert (await operator.post("/judge/chat")).headers["location"] == "/judge/chat"
        written = [job.model for job in rig.jobs]
        assert {(job.kind, job.suites, job.pool, job.cause) for job in rig.jobs} == {
            ("judge", ("chat",), (), "manual")
        }
        assert f"Have {len(written)} models write texts" in shown
        assert judge not in written
        rig.hear(*(_wrote(model) for model in written if model))
        assert "Have the texts compared" in (await operator.get("/judge/chat")).text
        await operator.post("/judge/chat")
    assert (rig.jobs[-1].model, set(rig.jobs[-1].pool)) == (judge, set(written))


def _wrote(model: ModelRef) -> ModelJudged:
    judged = Judged(tasks={"chat": "chat@1"}, texts={"chat": TEXTS})
    return ModelJudged(id=f"w {model}", at=EPOCH, model=model, job_id="w", judged=judged)


async def test_nothing_starts_for_others_nor_without_a_judge() -> None:
    rig = Rig(fleet(3))
    async with rig.client() as stranger:
        assert "/judge/chat" not in (await stranger.get("/why/chat")).text
        assert "log in" in (await stranger.get("/judge/chat")).text
        assert (await stranger.post("/judge/chat")).status_code == 403
    async with rig.client(authorization=f"Bearer {OPERATOR}") as operator:
        assert "There can be no session now" in (await operator.get("/judge/chat")).text
        assert (await operator.post("/judge/chat")).status_code == 400
        assert (await operator.get("/judge/vision")).status_code == 404
    assert rig.jobs == []
