"""Models that were lost long ago leave the memory of every service, and that of the terminal of `vedette up`."""

from datetime import UTC, datetime, timedelta

import pytest

from eventually import eventually
from samples import lifecycle_event
from vedette.bus.bus import Bus
from vedette.cli.running import News
from vedette.messages.codec import encode
from vedette.messages.events import EndpointObserved
from vedette.runtime.service import open_service
from vedette.settings import Settings
from vedette.testing import EPOCH
from vedette.types import EndpointState, ModelRef, Outcome

OLD, LATE, HERE = ModelRef("box", "old"), ModelRef("box", "late"), ModelRef("box", "here")
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
NOT_AT_ALL = ("vedette.messages.catalogue:Catalogue.forget_lost", lambda *_: None)


@pytest.mark.fault("models come and go for months", "I6", without=NOT_AT_ALL)
async def test_a_service_forgets_models_that_were_lost_long_ago(bus: Bus, settings: Settings) -> None:
    """As soon as it has read what there is; history is kept for 30 days."""
    now = datetime.now(UTC)
    for model, lost_at in ((OLD, now - 31 * DAY), (LATE, now - 29 * DAY), (HERE, None)):
        events = [lifecycle_event("found", model, at=now - 40 * DAY)]
        if lost_at is not None:
            events.append(lifecycle_event("lost", model, at=lost_at, revision=2))
        for event in events:
            await bus.js.publish(event.subject, encode(event))
    async with open_service("prober", settings) as service:
        await service.follow(("MODELS", "model.found.>"), ("MODELS", "model.lost.>"))

        async def forgotten() -> bool:
            return service.catalogue.get(OLD) is None

        await eventually(forgotten, what="the old model is forgotten")
        assert service.catalogue.get(LATE) is not None
        assert [state.model for state in service.catalogue.present()] == [HERE]


@pytest.mark.fault("models come and go under `vedette up` for months", "I6", without=NOT_AT_ALL)
def test_the_terminal_forgets_lost_models() -> None:
    """An hour after each loss, with the next observation of an endpoint."""
    said: list[str] = []
    news = News(said.append, Settings, since=EPOCH)
    news.show(lifecycle_event("found", OLD, at=EPOCH), 1)
    news.show(lifecycle_event("lost", OLD, at=EPOCH, revision=2), 2)
    news.show(lifecycle_event("found", HERE, at=EPOCH), 3)
    for passed, remembered in ((HOUR / 2, True), (HOUR, True), (2 * HOUR, False)):
        news.show(observed(EPOCH + passed), 4)
        assert (news.catalogue.get(OLD) is not None) is remembered, passed
    assert news.catalogue.get(HERE) is not None
    assert said[:3] == ["found     box/old", "lost      box/old (absent)", "found     box/here"]


def observed(at: datetime) -> EndpointObserved:
    state = EndpointState(
        url="http://box", provider="ollama", fingerprint="f", outcome=Outcome.OK, checked_at=at
    )
    return EndpointObserved(id=f"o{at:%H%M}", at=at, endpoint="box", state=state)
