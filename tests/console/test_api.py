"""The HTTP API says what the bus says."""

import asyncio
import json
from contextlib import ExitStack

import httpx
import pytest

from consoles import Rig, fleet
from eventually import eventually
from vedette.messages.codec import encode
from vedette_console import openapi
from vedette_console.changes import MAX_LISTENERS, MAX_OF_CALLER, Place


@pytest.fixture(scope="module")
def rig() -> Rig:
    return Rig(fleet(30))


@pytest.mark.parametrize(
    ("path", "subject", "asked"),
    [
        ("/recommend/chat", "recommend.best", {"use_case": "chat"}),
        (
            "/top/agent?limit=2&locality=local&min_context_tokens=9000",
            "recommend.top",
            {"use_case": "agent", "limit": 2, "constraints": {"locality": "local", "min_context_tokens": 9000}},
        ),
        (
            "/explain/chat?weights.speed=3&bounds.quality=0.2&exclude=gpu/a,gpu/b&exclude=c",
            "recommend.explain",
            {
                "use_case": "chat",
                "weights": {"speed": 3},
                "bounds": {"quality": 0.2},
                "constraints": {"exclude": ["gpu/a", "gpu/b", "c"]},
            },
        ),
        ("/models?sort=output_tps&descending=true&limit=3&offset=1", "models.list",
         {"sort": "output_tps", "descending": True, "limit": 3, "offset": 1}),
        ("/models/gpu/qwen3:8b", "models.get", {"model": "gpu/qwen3:8b"}),
        ("/endpoints", "endpoints.list", {}),
    ],
)  # fmt: skip
async def test_a_resource_is_the_query(rig: Rig, path: str, subject: str, asked: dict[str, object]) -> None:
    """Byte for byte, and unchanged for a caller that has it already."""
    async with rig.client() as caller:
        reply = await caller.get(f"/api/v1{path}")
        assert reply.status_code == 200, reply.text
        assert reply.content == rig.recommender.ask(subject, asked)
        again = await caller.get(f"/api/v1{path}", headers={"if-none-match": reply.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("path", "status", "code", "field"),
    [
        ("/recommend/caht", 404, "unknown_use_case", "use_case"),
        ("/recommend/chat?min_contxt=5", 400, "unknown_field", "min_contxt"),
        ("/recommend/chat?max_ttft_ms=-5", 400, "invalid_value", "constraints.max_ttft_ms"),
        ("/recommend/chat?weights.speed=fast", 400, "invalid_value", "weights"),
        ("/models/gpu/nothing", 404, "unknown_model", "model"),
        ("/history/availability?model=gpu", 400, "invalid_value", "model"),
        ("/nothing", 404, "unknown_path", None),
        ("/recommend/chat?constraints=x&locality=local", 400, "unknown_field", "constraints"),
        ("/recommend/chat?weights=1&weights.speed=1", 400, "unknown_field", "weights"),
        ("/recommend/chat?capabilities.x=1", 400, "unknown_field", "capabilities.x"),
    ],
)
async def test_an_error_names_the_field(
    rig: Rig, path: str, status: int, code: str, field: str | None
) -> None:
    async with rig.client() as caller:
        reply = await caller.get(f"/api/v1{path}")
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert (reply.status_code, problem["status"], problem["code"], problem.get("field")) == (
        status,
        status,
        code,
        field,
    )


async def test_an_outcome_is_reported_as_json_alone(rig: Rig) -> None:
    report = {"model": "gpu/qwen3:8b", "outcome": "ok", "ttft_ms": 90}
    async with rig.client() as caller:
        assert (await caller.post("/api/v1/outcomes", json=report)).json() == {"counted": True}
        assert (await caller.post("/api/v1/outcomes", data=report)).status_code == 400
        assert (await caller.post("/api/v1/outcomes", json={**report, "outcome": "meh"})).json()[
            "field"
        ] == "outcome"
        huge = await caller.post(
            "/api/v1/outcomes", content=b"x" * 200_000, headers={"content-type": "application/json"}
        )
        assert huge.status_code == 413


async def test_nobody_replies_is_a_503() -> None:
    rig = Rig(fleet(3))
    rig.asking.away = True
    async with rig.client() as caller:
        reply = await caller.get("/api/v1/models")
    assert (reply.status_code, reply.json()["code"], reply.headers["retry-after"]) == (503, "no_answer", "1")


def test_the_description_is_valid() -> None:
    """By the official validator, and with a parameter for every field."""
    from openapi_spec_validator import OpenAPIV31SpecValidator

    document = json.loads(openapi.encoded())
    OpenAPIV31SpecValidator(document).validate()
    parameters = {
        one["name"] for one in document["paths"]["/api/v1/recommend/{use_case}"]["get"]["parameters"]
    }
    assert {"use_case", "limit", "max_ttft_ms", "exclude", "weights.quality", "bounds.answer_s"} <= parameters
    assert "post" in document["paths"]["/api/v1/outcomes"]


async def read(url: str, events: int, last: str | None = None) -> list[tuple[str, str, object]]:
    """Return the next *events* events of the stream at *url*: id, name and data."""
    found: list[tuple[str, str, object]] = []
    headers = {"last-event-id": last} if last else {}
    async with (
        asyncio.timeout(60),
        httpx.AsyncClient(timeout=60) as caller,
        caller.stream("GET", url, headers=headers) as reply,
    ):
        place = name = ""
        async for line in reply.aiter_lines():
            key, _, value = line.partition(": ")
            if not line:
                place = ""
            if key == "id":
                place = value
            elif key == "event":
                name = value
            elif key == "data":
                found.append((place, name, json.loads(value)))
                if len(found) == events:
                    break
    return found


async def listening(rig: Rig) -> bool:
    return bool(rig.changes.listeners)


async def test_a_reader_that_comes_back_misses_nothing() -> None:
    """Events as on the bus; with the last id, those that happened meanwhile come first."""
    rig = Rig(fleet(3))
    async with rig.served() as url:
        reading = asyncio.create_task(read(f"{url}/api/v1/events?events=recommend.changed", 1))
        await eventually(lambda: listening(rig), what="the reader listens")
        first = rig.announce("chat")
        ((place, name, told),) = await reading
        assert (name, told) == ("recommend.changed", json.loads(encode(first)))
        missed = [rig.announce("agent"), rig.announce("fast")]
        again = await read(f"{url}/api/v1/events?events=recommend.changed", 2, last=place)
        assert [told for _, _, told in again] == [json.loads(encode(one)) for one in missed]
        assert [bool(place) for place, _, _ in again] == [False, True]  # not before all were sent
        async with httpx.AsyncClient(timeout=60) as caller:
            unknown = await caller.get(f"{url}/api/v1/events?events=model.fond")
        assert 'did you mean "model.found"?' in unknown.json()["detail"].replace("\\", "")


async def test_a_slow_reader_is_cut_off_and_costs_nobody_else() -> None:
    """It gets what was kept for it, then its stream ends; too many readers are turned away."""
    rig = Rig(fleet(3))
    # One caller has only so many of them.
    with ExitStack() as stack:
        mine = [stack.enter_context(rig.changes.listening("10.0.0.1")) for _ in range(MAX_OF_CALLER + 1)]
        assert mine[-1] is None
        assert stack.enter_context(rig.changes.listening("10.0.0.2"))
    with rig.changes.listening() as slow, rig.changes.listening() as quick:
        assert slow
        assert quick
        news = quick.received()
        for _ in range(1500):
            rig.announce("chat")
            assert await anext(news)
        assert slow.ended
        assert not quick.ended
        assert len([one async for one in slow.received() if one]) == 1000
        with rig.changes.listening() as another:
            assert another
    with ExitStack() as stack:
        readers = [stack.enter_context(rig.changes.listening()) for _ in range(MAX_LISTENERS + 1)]
    assert [reader is None for reader in readers] == [False] * MAX_LISTENERS + [True]


async def test_two_hundred_readers_that_read_nothing_cost_no_other() -> None:
    """On real connections: a reader gets every event, pages are answered, and who goes leaves nothing behind."""
    rig, before = Rig(fleet(3)), 200
    async with (
        rig.served() as url,
        httpx.AsyncClient(base_url=url, timeout=60) as caller,
        asyncio.timeout(120),
    ):
        host, port = url.removeprefix("http://").split(":")
        silent = [await asyncio.open_connection(host, int(port), limit=1) for _ in range(before)]
        for _, writer in silent:
            writer.write(f"GET /api/v1/events HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n".encode())
        await eventually(lambda: _are_listening(rig, before), what="all listen")
        async with caller.stream("GET", "/api/v1/events?events=recommend.changed") as reader:
            lines = reader.aiter_lines()
            await eventually(lambda: _are_listening(rig, before + 1), what="the reader listens, too")
            for number in range(300):
                rig.announce("chat", f"change {number}")
                line = await anext(line async for line in lines if line.startswith("data:"))
                assert f"change {number}" in line
            assert (await caller.get("/")).status_code == 200
        for _, writer in silent:
            writer.transport.abort()
        await eventually(lambda: _are_listening(rig, 0), what="none listens")


async def _are_listening(rig: Rig, number: int) -> bool:
    return rig.changes.listeners == number


@pytest.mark.parametrize(
    "text",
    ["", "m1", "m" + "9" * 5000 + ".e1.a1", "m1.e2", "m1.e2.a", "m1.e2.a-3", "m1.e2.a3.b4", "mé.e2.a3"],
)
def test_an_id_of_another_stream_is_no_place(text: str) -> None:
    assert Place.parse(text) is None


def test_a_place_is_read_back() -> None:
    place = Place().with_sequence("MODELS", 12).with_sequence("ANSWERS", 3)
    assert Place.parse(str(place)) == Place({"MODELS": 12, "ENDPOINTS": 0, "ANSWERS": 3})
