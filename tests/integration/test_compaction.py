"""Lost models are forgotten by streams, SQL and memory alike, and nothing that is there is touched."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from eventually import eventually
from recorded import all_recorded
from samples import lifecycle_event, probe_event, report_event
from vedette.bus.bus import Bus
from vedette.errors import MessageTooLarge
from vedette.messages import subjects
from vedette.messages.catalogue import Catalogue
from vedette.messages.codec import encode
from vedette.messages.events import Event
from vedette.messages.forgetting import MAX_LOST_PER_ENDPOINT
from vedette.settings import Database, Settings
from vedette.types import ModelRef
from vedette_recorder import app as recorder
from vedette_recorder import tables
from vedette_recorder.compaction import Compaction
from vedette_recorder.store import Store

pytest_plugins = ("database",)

NOW = datetime.now(UTC)
LOST, BACK, HERE = ModelRef("box", "lost *.>"), ModelRef("box", "back"), ModelRef("box", "here")
KEEP = timedelta(days=30)


def events() -> list[Event]:
    """Two models lost 31 days ago, of which one is back, and one that was always there."""
    then = NOW - timedelta(days=31)
    return [
        *(lifecycle_event("found", model, at=then) for model in (LOST, BACK, HERE)),
        *(probe_event(model, at=then, job_id=f"{then:%s}-{model.name}") for model in (LOST, BACK, HERE)),
        report_event(LOST, at=then, calls=1),
        *(lifecycle_event("lost", model, at=then, revision=2) for model in (LOST, BACK)),
    ]


async def publish(bus: Bus, *published: Event) -> None:
    for event in published:
        await bus.js.publish(event.subject, encode(event), headers={"Nats-Msg-Id": event.id})


async def on(bus: Bus, model: ModelRef) -> int:
    return await bus.streams.count("MODELS", subjects.of_model("*", model))


@pytest.mark.fault("names come and go without end", "I6")
async def test_models_lost_long_ago_leave_streams_and_current_state(
    bus: Bus, settings: Settings, store: Store, url: str
) -> None:
    """What was found again in the meantime, recorded or not, keeps its events; a second round does nothing."""

    async def before() -> datetime:
        return NOW - KEEP

    async def in_doubt() -> None:
        return None

    compaction = Compaction(bus=bus, store=store, cutoff=before)
    async with recorder.serve(msgspec.structs.replace(settings, database=Database(url=url))):
        await publish(bus, *events())
        await eventually(lambda: all_recorded(bus.js, "MODELS", "REPORTS"), what="all recorded")
        assert (await on(bus, LOST), await on(bus, BACK), await on(bus, HERE)) == (3, 3, 2)
    # No recorder runs: this is in the stream and not in the database.
    await publish(bus, lifecycle_event("found", BACK, at=NOW, revision=3))

    assert await Compaction(bus=bus, store=store, cutoff=in_doubt).forget() == 0, "by no clock in doubt"
    assert await on(bus, LOST) == 3
    assert await compaction.forget() == 2
    assert await on(bus, LOST) == 0
    assert await bus.streams.count("REPORTS", subjects.of_report(LOST)) == 0
    assert await on(bus, BACK) == 1
    assert (await bus.streams.read_model(BACK)).present
    assert await on(bus, HERE) == 2
    assert {row["model"] for row in await store.read(tables.current_state.select())} == {"here"}
    assert await store.count(tables.model_availability_history) == 3, "history ages by itself"
    assert await compaction.forget() == 0


def test_a_catalogue_remembers_a_bounded_number_of_lost_models() -> None:
    """However many names an endpoint invents; those of another endpoint, and what is there, stay."""
    catalogue = Catalogue()
    sequence = 0

    def apply(event: Event) -> None:
        nonlocal sequence
        sequence += 1
        catalogue.apply(event, sequence)

    other = ModelRef("good", "lost")
    apply(lifecycle_event("found", HERE, at=NOW))
    apply(lifecycle_event("lost", other, at=NOW - timedelta(days=1), revision=2))
    for number in range(3 * MAX_LOST_PER_ENDPOINT):
        model = ModelRef("box", f"m{number}")
        apply(lifecycle_event("found", model, at=NOW))
        apply(lifecycle_event("lost", model, at=NOW + timedelta(seconds=number), revision=2))
        assert len(catalogue.names_at("box")) <= 1 + MAX_LOST_PER_ENDPOINT * 11 // 10 + 1
    assert catalogue.get(ModelRef("box", f"m{3 * MAX_LOST_PER_ENDPOINT - 1}")) is not None
    assert catalogue.get(other) is not None
    assert [state.model for state in catalogue.present()] == [HERE]


@pytest.mark.fault("an event larger than a message", "I5")
async def test_an_event_that_no_message_holds_is_named(bus: Bus) -> None:
    """The error has the subject and both sizes; nothing is tried again."""
    info = msgspec.structs.replace(
        lifecycle_event("found", HERE, at=NOW).info, description_error="x" * 1_100_000
    )
    with pytest.raises(MessageTooLarge, match=r"model\.found\.box\.here: the message has \d+ bytes"):
        await bus.publisher.advance_model(
            HERE, lambda _: lifecycle_event("found", HERE, at=NOW, info=info), known=None
        )
