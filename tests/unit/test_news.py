"""What `vedette up` prints of the endpoints that it knew before it was started."""

from datetime import timedelta

from msgspec.structs import replace

from vedette.cli.running import News
from vedette.messages.events import EndpointObserved
from vedette.settings import Defined, EndpointSettings, Origin, Settings
from vedette.testing import EPOCH
from vedette.types import EndpointState, Outcome, Pause

BEFORE, START = EPOCH, EPOCH + timedelta(hours=3)


def observed(endpoint: str, at_hour: int, outcome: Outcome = Outcome.OK) -> EndpointObserved:
    at = EPOCH + timedelta(hours=at_hour)
    state = EndpointState(
        url=f"http://{endpoint}", provider="ollama", fingerprint="f", outcome=outcome, checked_at=at
    )
    return EndpointObserved(id=f"{endpoint}{at_hour}", at=at, endpoint=endpoint, state=state)


def test_what_was_known_before_a_restart_is_shown_with_its_age() -> None:
    """Once per endpoint in force; not of a removed or paused one, whose state nobody asks for."""
    said: list[str] = []
    paused = Origin(paused=Pause(since=BEFORE, by="anna"))
    both = {name: EndpointSettings(provider="ollama", url=f"http://{name}") for name in ("box", "resting")}
    settings = replace(Settings(), endpoints=both, defined=Defined(origins={"resting": paused}))
    news = News(said.append, lambda: settings, since=START)
    for sequence, name in enumerate(("box", "resting", "removed"), 1):
        news.show(observed(name, at_hour=0), sequence)
    assert said == ["endpoint  box: http://box answers; last contact 3 h ago"]
    said.clear()
    news.show(observed("box", at_hour=4), 4)
    assert said == []
    news.show(observed("box", at_hour=5, outcome=Outcome.REFUSED), 5)
    assert len(said) == 1
    assert said[0].startswith("endpoint  box: http://box")
    assert "last contact" not in said[0]
