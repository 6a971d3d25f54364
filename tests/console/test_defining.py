"""What an operator changes of endpoints by the pages of the console."""

from typing import Any

import pytest

from consoles import OPERATOR, Rig, fleet, form_token
from vedette.types import Pause


@pytest.fixture
def rig() -> Rig:
    return Rig(fleet(6))


async def send(rig: Rig, **form: Any) -> int:
    """Send *form* as an operator; return the status of the response."""
    async with rig.client(authorization=f"Bearer {OPERATOR}") as operator:
        return (await operator.post("/define", data={"by": "anna", "sequence": "0", **form})).status_code


async def test_only_an_operator_changes_endpoints(rig: Rig) -> None:
    """And only from a form of the console itself."""
    asked = {"endpoint": "gpu", "action": "remove", "sequence": "0"}
    async with rig.client() as browser:
        assert "Remove" not in (await browser.get("/define?endpoint=gpu")).text
        assert (await browser.post("/define", data=asked)).status_code == 403
        await browser.post("/login", data={"token": OPERATOR})
        assert (await browser.post("/define", data=asked)).status_code == 403
        page = (await browser.get("/define?endpoint=gpu")).text
        form = {**asked, "form_token": form_token(page)}
        evil = await browser.post("/define", data=form, headers={"origin": "http://evil.example"})
        assert evil.status_code == 403
        assert rig.definitions.events == []
        assert (await browser.post("/define", data=form)).headers["location"] == "/endpoints"
    (event,) = rig.definitions.events
    assert (event.endpoint, event.action, event.via, event.by) == ("gpu", "remove", "console", "console")


async def test_an_endpoint_is_added_with_a_key_by_its_name(rig: Rig) -> None:
    given = {
        "url": "http://new:8000",
        "provider": "openai-compatible",
        "key": "vllm",
        "settings": "timeout_s = 20",
    }
    assert await send(rig, endpoint="new", action="add", **given) == 303
    (event,) = rig.definitions.events
    assert event.whole
    assert event.settings == {
        "url": "http://new:8000",
        "provider": "openai-compatible",
        "timeout_s": 20,
        "api_key": {"env": "VLLM_KEY"},
    }


async def test_a_pause_has_its_end_and_its_reason_and_is_resumed(rig: Rig) -> None:
    asked = {"endpoint": "gpu", "action": "pause", "for": "2h", "reason": "new driver"}
    assert await send(rig, **asked) == 303
    paused = rig.definitions.events[-1].paused
    assert isinstance(paused, Pause)
    assert (paused.by, paused.reason) == ("anna", "new driver")
    async with rig.client() as browser:
        pages = ("/", "/models?endpoints=gpu", "/models/gpu/qwen3:8b", "/why/chat")
        shown = {path: (await browser.get(path)).text for path in pages}
    assert "<b>2</b> of 4 endpoints reachable, <b>1</b> paused</a>" in shown["/"]
    assert '<td><span class="status st-unknown">paused</span></td>' in shown["/models?endpoints=gpu"]
    assert '<p class="facts"><span class="status st-unknown">paused</span>' in shown["/models/gpu/qwen3:8b"]
    assert "<td>endpoint paused or asleep</td>" in shown["/why/chat"]
    assert "endpoint closed" not in shown["/why/chat"]
    assert await send(rig, endpoint="gpu", action="resume", sequence="1") == 303
    assert rig.definitions.events[-1].paused is None


async def test_the_second_of_two_operators_gets_an_error(rig: Rig) -> None:
    assert await send(rig, endpoint="gpu", action="edit", settings="timeout_s = 20") == 303
    assert await send(rig, endpoint="gpu", action="remove") == 400
    assert [event.action for event in rig.definitions.events] == ["edit"]


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"settings": 'api_key = { env = "DATABASE_URL" }'}, "choose a key of [discovery.keys]"),
        ({"settings": 'headers = { X-A = { file = "/etc/shadow" } }'}, "choose a key of [discovery.keys]"),
        ({"settings": 'load = { api_key = { env = "NATS_PASSWORD" } }'}, "choose a key of [discovery.keys]"),
        ({"settings": 'ca_file = "/etc/shadow"'}, "choose a key of [discovery.keys]"),
        ({"settings": "tiemout_s = 1"}, "did you mean"),
        ({"settings": "timeout_s"}, "not KEY = VALUE"),
        ({"key": "nonesuch"}, "is not in [discovery.keys]"),
        ({"url": "ftp://gpu"}, "is not an http or https URL"),
        ({"provider": "nonesuch"}, "not installed"),
        ({"endpoint": "GPU!"}, "lower-case letters"),
        ({"sequence": "many"}, "not a number"),
        ({"action": "destroy"}, "no change"),
    ],
)
async def test_what_no_form_may_ask_for_is_refused_with_the_reason(
    rig: Rig, form: dict[str, str], reason: str
) -> None:
    """Above all references to secrets of the services: a form would send them to any URL."""
    asked = {"endpoint": "gpu", "action": "edit", "sequence": "0", **form}
    async with rig.client(authorization=f"Bearer {OPERATOR}") as operator:
        reply = await operator.post("/define", data=asked)
    assert reply.status_code == 400
    assert reason in reply.text
    assert rig.definitions.events == []


async def test_a_name_that_is_taken_is_not_added(rig: Rig) -> None:
    assert await send(rig, endpoint="gpu", action="add", url="http://x:1", provider="ollama") == 400
    assert rig.definitions.events == []


async def test_the_page_shows_who_changed_what(rig: Rig) -> None:
    """As text, whatever it holds."""
    await send(rig, endpoint="gpu", action="edit", settings="timeout_s = 20", reason="<script>x</script>")
    async with rig.client(authorization=f"Bearer {OPERATOR}") as operator:
        page = (await operator.get("/define?endpoint=gpu")).text
    assert "anna (console)" in page
    assert "edit: timeout_s" in page
    assert "<script>x" not in page
    assert 'name="sequence" value="1"' in page
