"""What servers tell of their load: read from recorded and written pages, bounded, and without use of a model."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Gauge, make_asgi_app
from prometheus_client.exposition import generate_latest

from providers.conftest import opened
from providers.replay import FIXTURES, Exchange, Handler, Replay, Write, flood, hang, reply, trickle
from vedette.errors import ProviderError
from vedette.providers import Access, Activity, Metered, ModelActivity, elsewhere
from vedette.providers._http import Http
from vedette.providers._llamacpp import IDLE_BEFORE_REST_S, REST_S, LlamaCppLoad
from vedette.providers._metrics import ALL, VLLM, activity, samples
from vedette.testing import FakeClock
from vedette.types import Outcome, Residency

QUEUED = """\
# TYPE {p}:num_requests_running gauge
{p}:num_requests_running{{model_name="a",engine="0"}} 3.0
{p}:num_requests_running{{model_name="a",engine="1"}} 1.0
{p}:num_requests_running{{model_name="b",engine="0"}} 0
{p}:num_requests_waiting{{model_name="a"}} 2
{p}:num_requests_waiting_by_reason{{model_name="a"}} 99
{p}:generation_tokens_total{{model_name="a"}} 4100
{p}:kv_cache_usage_perc{{model_name="a",engine="0"}} 0.5
{p}:kv_cache_usage_perc{{model_name="a",engine="1"}} 0.1
""".format(p="vllm")
PAGES: dict[str, tuple[str, Activity]] = {
    "vllm": (
        QUEUED,
        Activity(
            running=4,
            waiting=2,
            cache_use=0.3,
            generated_tokens=4100,
            models={
                "a": ModelActivity(running=4, waiting=2, cache_use=0.3, generated_tokens=4100),
                "b": ModelActivity(running=0),
            },
            source="vllm metrics",
        ),
    ),
    "aphrodite": (
        'aphrodite:num_requests_running{model_name="m"} 3.0\naphrodite:num_requests_waiting{model_name="m"} 1.0\n',
        Activity(
            running=3,
            waiting=1,
            models={"m": ModelActivity(running=3, waiting=1)},
            source="aphrodite metrics",
        ),
    ),
    "sglang": (
        'sglang:num_running_reqs{model_name="m"} 5\nsglang:num_queue_reqs{model_name="m"} 1\n'
        'sglang:token_usage{model_name="m"} 0.28\nsglang:gen_throughput{model_name="m"} 86.5\n',
        Activity(
            running=5,
            waiting=1,
            cache_use=0.28,
            counts_live=False,
            output_tps=86.5,
            models={"m": ModelActivity(running=5, waiting=1, cache_use=0.28, output_tps=86.5)},
            source="sglang metrics",
        ),
    ),
    "tgi": (
        "tgi_batch_current_size 2\ntgi_queue_size 7\ntgi_request_generated_tokens_sum 12\n",
        Activity(
            running=2,
            waiting=7,
            generated_tokens=12,
            counts_live=False,
            source="text-generation-inference metrics",
        ),
    ),
    # In flight are those that wait for their first token, too.
    "dynamo": (
        'dynamo_frontend_inflight_requests{model="m"} 5\ndynamo_frontend_queued_requests{model="m"} 2\n'
        'dynamo_frontend_output_tokens_total{model="m"} 900\nvllm:num_requests_running 1\n',
        Activity(
            running=3,
            waiting=2,
            generated_tokens=900,
            models={"m": ModelActivity(running=3, waiting=2, generated_tokens=900)},
            source="dynamo metrics",
        ),
    ),
    # Means over the ready servers of the pool.
    "llm-d": (
        'llm_d_epp_average_running_requests{name="pool"} 1.5\nllm_d_epp_average_queue_size{name="pool"} 0.25\n'
        'llm_d_epp_average_kv_cache_utilization{name="pool"} 0.4\nllm_d_epp_ready_endpoints{name="pool"} 4\n',
        Activity(running=6, waiting=1, cache_use=0.4, source="llm-d metrics"),
    ),
    # The one that asks is in flight as well.
    "litellm": ("litellm_in_flight_requests 3\n", Activity(running=2, source="litellm metrics")),
}


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_is_read_as_its_server_means_it(kind: str) -> None:
    page, expected = PAGES[kind]
    assert activity(samples(page, [name for one in ALL for name in one.names])) == expected


@pytest.mark.parametrize(
    "page",
    [
        "",
        "<html><body>vllm:num_requests_running 3</body></html>",
        "vllm:num_requests_running NaN\n",
        "vllm:num_requests_running +Inf\n",
        "vllm:num_requests_running -4\n",
        "vllm:num_requests_running 1e300\n",
        "vllm:num_requests_running{ 3\n",
        'vllm:num_requests_running{model_name="a" 3 3 3\n',
        "vllm:num_requests_running three\n",
        "vllm:num_requests_running_of_another 3\n",
        "inference_pool_average_queue_size 3\n",
    ],
)
def test_what_is_no_figure_is_none(page: str) -> None:
    assert activity(samples(page, [name for one in ALL for name in one.names])) is None


def test_a_line_of_another_s_making_hides_no_other() -> None:
    page = (
        'vllm:num_requests_running{model_name="a 3\nvllm:num_requests_running 2\nvllm:kv_cache_usage_perc 7\n'
    )
    told = activity(samples(page, VLLM.names))
    assert told is not None
    assert (told.running, told.cache_use) == (2, None)


@pytest.mark.parametrize(
    ("line", "model", "running"),
    [
        ('vllm:num_requests_running{model_name="a"} 3 1700000000000', "a", 3),
        ("vllm:num_requests_running 3 1700000000000", None, 3),
        ('vllm:num_requests_running{model_name="a"} 6 # {trace_id="k"} 0.5', "a", 6),
        ('vllm:num_requests_running{model_name="a # b"} 6', "a # b", 6),
        ('vllm:num_requests_running{model_name="a # {b}"} 6 7 # {trace_id="k } 9"} 0.5', "a # {b}", 6),
        ('vllm:num_requests_running 6 # {trace_id="k"} 0.5', None, 6),
        ('vllm:num_requests_running{engine="}",model_name="x} 7"} 8', "x} 7", 8),
        ('vllm:num_requests_running{note=",model=",model_name="x"}\t8', "x", 8),
        ('vllm:num_requests_running{model_name="say \\"a\\""} 2', 'say "a"', 2),
        ("vllm:num_requests_running{} 5", None, 5),
    ],
)
def test_a_line_has_a_name_labels_and_a_value(line: str, model: str | None, running: int) -> None:
    for _ in range(2):  # labels are parsed once
        seen = activity(samples(line, VLLM.names))
        assert seen is not None
        assert seen.running == running
        assert list(seen.models) == ([model] if model else [])


def test_labels_that_do_not_end_are_not_kept() -> None:
    endless = f'vllm:num_requests_running{{model_name="a",note="{"x" * 5000}"}} 3'
    assert activity(samples(endless, VLLM.names)) is None


def test_a_page_of_endless_models_is_bounded() -> None:
    """The busiest are kept; no more lines are read than a page has of its own."""
    lines = [f'vllm:num_requests_running{{model_name="m{n}"}} {n}' for n in range(5000)]
    told = activity(samples("\n".join(lines), VLLM.names))
    assert told is not None
    assert len(told.models) == 64
    assert "m1999" in told.models


async def load(replay: Replay, provider: str = "openai-compatible", **how: Any) -> Activity | None:
    async with opened(provider, replay.url, **how) as endpoint:
        assert isinstance(endpoint, Metered)
        return await endpoint.load(None)


def selecting(registry: CollectorRegistry) -> Handler:
    """Return a handler that serves the page of *registry* as Python's own library does, with its selection."""
    application = make_asgi_app(registry)

    async def handle(exchange: Exchange, write: Write) -> None:
        query = exchange.path.partition("?")[2].encode()
        sent: list[Mapping[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "query_string": query, "headers": []}
        await application(scope, receive, send)  # type: ignore[arg-type]
        await reply(200, sent[1]["body"])(exchange, write)

    return handle


async def test_a_page_that_can_be_selected_from_is(replay: Replay) -> None:
    """VLLM's whole page is 58 kB; the path with a slash leads to the part that takes `name[]`."""
    registry = CollectorRegistry()
    Gauge("vllm:num_requests_running", "x", ["model_name"], registry=registry).labels("m").set(3)
    Gauge("vllm:other", "x" * 10_000, registry=registry)
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m", "owned_by": "vllm"}]})
    replay.otherwise = selecting(registry)
    told = await load(replay)
    assert told is not None
    assert told.models == {"m": ModelActivity(running=3)}
    (asked,) = [one.path for one in replay.requests if "metrics" in one.path]
    assert asked.startswith("/metrics/?name%5B%5D=vllm%3Anum_requests_running")
    assert len(generate_latest(registry)) > 10_000


async def test_a_page_that_cannot_be_selected_from_is_read_whole_from_then_on(replay: Replay) -> None:
    replay.recorded("vllm/0.32.0")
    async with opened("openai-compatible", replay.url) as endpoint:
        assert isinstance(endpoint, Metered)
        for _ in range(2):
            told = await endpoint.load("vllm")
    assert told is not None
    assert (told.running, told.waiting, told.source) == (0, 0, "vllm metrics")
    asked = [one.path.partition("?")[0] for one in replay.requests if "metrics" in one.path]
    assert asked == ["/metrics/", "/metrics", "/metrics"]


@pytest.mark.parametrize(
    ("owner", "path", "body", "expected"),
    [
        ("vllm", "/load", {"server_load": 4}, Activity(running=4, source="vllm /load")),
        (
            "sglang",
            "/get_load",
            [{"num_reqs": 5, "num_waiting_reqs": 2}, {"num_reqs": 1, "num_waiting_reqs": 0}],
            Activity(running=4, waiting=2, source="sglang /get_load"),
        ),
        (
            "sglang",
            "/v1/loads",
            {
                "dp_rank_count": 2,
                "loads": [
                    {"dp_rank": 0, "num_running_reqs": 3, "num_waiting_reqs": 2, "num_total_reqs": 5},
                    {"dp_rank": 1, "num_running_reqs": 7, "num_waiting_reqs": 0, "num_total_reqs": 7},
                ],
            },
            Activity(running=10, waiting=2, source="sglang /v1/loads"),
        ),
        ("sglang", "/v1/loads", {"loads": []}, None),
        (
            "koboldcpp",
            "/api/extra/perf",
            {"last_token_count": 80, "total_gens": 12, "queue": 2, "idle": 0},
            Activity(running=1, waiting=2, source="koboldcpp /api/extra/perf"),
        ),
        ("koboldcpp", "/api/extra/perf", {"queue": 0, "idle": 2}, None),
        ("anybody", "/load", {"server_load": 1}, Activity(running=1, source="generic /load")),
        ("vllm", "/load", {"server_load": -1}, None),
        ("vllm", "/load", {"server_load": 1e300}, None),
        ("vllm", "/load", "<html></html>", None),
        ("vllm", "/load", ["x"], None),
    ],
)
async def test_without_metrics_a_path_of_its_own_tells(
    owner: str, path: str, body: object, expected: Activity | None, replay: Replay
) -> None:
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m", "owned_by": owner}]})
    replay.routes["GET", path] = reply(200, body)
    assert await load(replay) == expected


async def test_the_older_path_is_asked_alone_where_it_answers(replay: Replay) -> None:
    """SGLang's before 2026; a reading is made every ten seconds."""
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m", "owned_by": "sglang"}]})
    replay.routes["GET", "/get_load"] = reply(200, [{"num_reqs": 1, "num_waiting_reqs": 0}])
    async with opened("openai-compatible", replay.url) as endpoint:
        assert isinstance(endpoint, Metered)
        for _ in range(3):
            assert await endpoint.load("sglang") == Activity(running=1, waiting=0, source="sglang /get_load")
        asked = [one.path.partition("?")[0] for one in replay.requests]
        assert (asked.count("/v1/loads"), asked.count("/get_load")) == (1, 3)
        # The server is replaced by a newer version.
        del replay.routes["GET", "/get_load"]
        replay.routes["GET", "/v1/loads"] = reply(
            200, {"loads": [{"num_running_reqs": 2, "num_waiting_reqs": 1}]}
        )
        assert await endpoint.load("sglang") is None
        assert await endpoint.load("sglang") == Activity(running=2, waiting=1, source="sglang /v1/loads")


async def test_litellm_tells_its_backlog_less_the_one_that_asks(replay: Replay) -> None:
    """Its /health is never asked: it calls every model."""
    for path, name in (("/v1/models", "models"), ("/model/info", "model-info")):
        recorded = (FIXTURES / "litellm" / "1.108.7" / f"{name}.json").read_text()
        replay.routes["GET", path] = reply(200, recorded)
    replay.routes["GET", "/health/backlog"] = reply(200, {"in_flight_requests": 3})
    assert await load(replay) == Activity(running=2, source="litellm /health/backlog")
    assert "/health" not in [one.path for one in replay.requests]


async def test_a_service_is_asked_nothing(replay: Replay) -> None:
    """Whatever it might tell."""
    replay.otherwise = reply(200, QUEUED)
    assert await load(replay, locality="remote") is None
    assert await load(replay, provider="ollama", locality="remote") is None
    assert not replay.requests


async def test_a_server_whose_every_request_disturbs_is_asked_nothing(replay: Replay) -> None:
    """llama-cpp-python ends the stream that another receives."""
    async with opened("openai-compatible", replay.url) as endpoint:
        assert isinstance(endpoint, Metered)
        assert await endpoint.load("llama-cpp-python") is None
    assert not replay.requests


async def test_llama_swap_is_asked_what_runs_and_nothing_of_the_models(replay: Replay) -> None:
    """A request that it passes on counts as use of the model, and puts its unloading off."""
    listing = {"data": [{"id": "a", "owned_by": "llama-swap"}, {"id": "b", "owned_by": "llama-swap"}]}
    replay.routes["GET", "/v1/models"] = reply(200, listing)
    replay.routes["GET", "/running"] = reply(200, {"running": [{"model": "b", "state": "ready"}]})
    told = await load(replay)
    assert told is not None
    assert told.loaded == {"b": Residency(resident=True, swaps=True)}
    assert [one.path for one in replay.requests] == ["/v1/models", "/running"]


@pytest.mark.parametrize("arguments", [[], ["--sleep-idle-seconds", "60"]])
async def test_a_router_s_model_that_sleeps_is_not_asked(arguments: list[str], replay: Replay) -> None:
    """Its slots would wake it; those of the others are no use (llama.cpp server-models.cpp)."""
    status = {"value": "loaded", "args": ["llama-server", *arguments]}
    listing = {"data": [{"id": "a", "status": status}, {"id": "b", "status": {"value": "unloaded"}}]}
    replay.routes["GET", "/v1/models"] = reply(200, listing)
    slots = [{"is_processing": True}, {"is_processing": False}]
    replay.routes["GET", "/slots"] = reply(200, slots)
    told = await load(replay)
    assert told is not None
    assert told.loaded is not None
    assert list(told.loaded) == ["a"]
    asked = [one.path for one in replay.requests if "slots" in one.path]
    assert (told.running, asked) == ((None, []) if arguments else (1, ["/slots?model=a&autoload=false"]))


async def test_ollama_tells_what_is_loaded(replay: Replay) -> None:
    replay.recorded("ollama/0.32.15")
    told = await load(replay, provider="ollama")
    assert told is not None
    assert told.loaded is not None
    assert (told.running, told.source) == (None, "ollama ps")
    assert told.loaded["smollm2:135m"].size_bytes == 210690374


class LlamaServer:
    """What a scripted llama.cpp answers, and what it was asked."""

    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        self.clock = FakeClock()
        replay.recorded("llamacpp/2026.10")
        self.asleep(value=False)

    def asleep(self, *, value: bool | None) -> None:
        told = {} if value is None else {"is_sleeping": value}
        self.replay.routes["GET", "/props"] = reply(200, told)

    def busy(self, *decoded: int, slots: int = 2, speculative: bool = False) -> None:
        """Have it work on as many requests, each of which has so many tokens already."""
        idle = [{"is_processing": False}] * (slots - len(decoded))
        held = [
            {"is_processing": True, "speculative": speculative, "next_token": [{"n_decoded": n}]}
            for n in decoded
        ]
        self.replay.routes["GET", "/slots"] = reply(200, [*idle, *held])

    def counts(
        self,
        *,
        tokens: int,
        running: int = 1,
        deferred: int = 0,
        decodings: int | None = None,
        busy_slots: float | None = None,
    ) -> None:
        """Have its metrics count this; before 2024-09 they had no decodings."""
        figures = {
            "tokens_predicted_total": tokens,
            "requests_processing": running,
            "requests_deferred": deferred,
            "n_decode_total": decodings,
            "n_busy_slots_per_decode": busy_slots,
        }
        lines = (f"llamacpp:{name} {value}\n" for name, value in figures.items() if value is not None)
        self.replay.routes["GET", "/metrics"] = reply(200, "".join(lines))

    async def read(self, reader: LlamaCppLoad) -> tuple[Activity | None, list[str]]:
        """Return what *reader* makes of it now, and what it asks for that."""
        self.replay.requests.clear()
        told = await reader.read(["m"])
        return told, [one.path for one in self.replay.requests]


async def test_llama_cpp_of_before_2024_is_asked_for_its_slots_and_for_metrics_while_it_works(
    replay: Replay,
) -> None:
    """Tokens of requests that run are counted, though its metrics wait."""
    server = LlamaServer(replay)
    server.asleep(value=None)
    server.counts(tokens=90, running=0)
    async with Http(Access(endpoint="t", url=replay.url), clock=server.clock) as http:
        reader = LlamaCppLoad(http, clock=server.clock)
        assert (await server.read(reader))[1] == ["/props", "/slots", "/metrics"]
        seen, asked = await server.read(reader)
        assert asked == ["/slots"]
        assert seen == Activity(
            running=0,
            waiting=0,
            slots=2,
            loaded={"m": Residency(resident=True)},
            source="llama.cpp slots",
        )
        server.busy(40, 2)
        server.counts(tokens=100, deferred=3)
        seen, asked = await server.read(reader)
        assert asked == ["/slots", "/metrics"]
        assert seen is not None
        assert (seen.running, seen.waiting, seen.slots, seen.generated_tokens) == (2, 3, 2, 142)
        server.busy()
        server.counts(tokens=160)
        seen, asked = await server.read(reader)
        assert asked == ["/slots", "/metrics"]
        assert seen is not None
        assert (seen.running, seen.waiting, seen.generated_tokens) == (0, 0, 160)
        assert (await server.read(reader))[1] == ["/slots"]
        for path in ("/slots", "/metrics"):
            replay.routes["GET", path] = reply(501, {"error": {"message": "off"}})
        assert (await server.read(reader))[0] is None


async def test_llama_cpp_that_counts_decodings_is_asked_for_its_metrics_alone(replay: Replay) -> None:
    """Each slot that was used takes more than 1 kB. The count of tokens includes those of requests that run."""
    server = LlamaServer(replay)
    server.asleep(value=None)
    async with Http(Access(endpoint="t", url=replay.url), clock=server.clock) as http:
        reader = LlamaCppLoad(http, clock=server.clock)
        server.counts(tokens=100, running=0, decodings=50, busy_slots=2.0)
        assert (await server.read(reader))[1] == ["/props", "/slots", "/metrics"]
        server.counts(tokens=100, running=2, deferred=3, decodings=80, busy_slots=1.875)
        seen, asked = await server.read(reader)
        assert asked == ["/metrics"]
        assert seen == Activity(
            running=2,
            waiting=3,
            slots=2,
            generated_tokens=150,
            loaded={"m": Residency(resident=True)},
            source="llama.cpp metrics",
        )
        server.busy(9, slots=3)
        server.counts(tokens=4, running=1, decodings=9, busy_slots=1.0)
        seen, asked = await server.read(reader)
        assert asked == ["/metrics", "/slots", "/metrics"]  # it was restarted
        assert seen is not None
        assert (seen.running, seen.slots, seen.generated_tokens) == (1, 3, 9)
        replay.routes["GET", "/metrics"] = reply(501, {"error": {"message": "off"}})
        seen, asked = await server.read(reader)
        assert asked == ["/metrics", "/slots"]
        assert seen is not None
        assert (seen.running, seen.slots, seen.generated_tokens) == (1, 3, None)


@pytest.mark.parametrize(
    ("tokens", "decodings"),
    [
        (0, 700),  # batches of prompts: it only embeds, or its first request runs
        (90, 1_234_570),  # as it writes 1234567
    ],
)
async def test_llama_cpp_whose_decodings_say_too_little_is_asked_for_its_slots_too(
    tokens: int, decodings: int, replay: Replay
) -> None:
    server = LlamaServer(replay)
    server.asleep(value=None)
    server.busy(40)
    server.counts(tokens=tokens, decodings=decodings, busy_slots=1.0)
    async with Http(Access(endpoint="t", url=replay.url), clock=server.clock) as http:
        reader = LlamaCppLoad(http, clock=server.clock)
        await server.read(reader)
        seen, asked = await server.read(reader)
    assert asked == ["/slots", "/metrics"]
    assert seen
    assert seen.generated_tokens == tokens + 40


async def test_llama_cpp_with_speculative_decoding_is_asked_for_its_slots_too(replay: Replay) -> None:
    """It leaves what it decodes so out of its count of decodings."""
    server = LlamaServer(replay)
    server.asleep(value=None)
    server.busy(40, speculative=True)
    server.counts(tokens=100, decodings=7, busy_slots=1.0)
    async with Http(Access(endpoint="t", url=replay.url), clock=server.clock) as http:
        reader = LlamaCppLoad(http, clock=server.clock)
        await server.read(reader)
        seen, asked = await server.read(reader)
    assert asked == ["/slots", "/metrics"]
    assert seen
    assert (seen.generated_tokens, seen.counts_live) == (140, True)


async def test_a_server_that_sleeps_is_never_woken(replay: Replay) -> None:
    """Only its properties are asked, which are no task: asleep it has no request, awake it may be at work."""
    server = LlamaServer(replay)
    server.asleep(value=True)
    async with Http(Access(endpoint="t", url=replay.url), clock=server.clock) as http:
        reader = LlamaCppLoad(http, clock=server.clock)
        told, asked = await server.read(reader)
        assert told == Activity(running=0, waiting=0, loaded={}, source="llama.cpp props")
        server.asleep(value=False)
        awake, also = await server.read(reader)
    assert awake == Activity(loaded={"m": Residency(resident=True)}, source="llama.cpp props")
    assert asked == also == ["/props"]


@pytest.mark.parametrize("sleeps", [True, False])
async def test_an_idle_server_is_left_alone_once_to_show_whether_it_sleeps(
    sleeps: bool, replay: Replay
) -> None:
    server = LlamaServer(replay)
    async with Http(Access(endpoint="t", url=replay.url), clock=server.clock) as http:
        reader = LlamaCppLoad(http, clock=server.clock)
        assert (await server.read(reader))[1] == ["/props", "/slots", "/metrics"]
        server.clock.advance(IDLE_BEFORE_REST_S + 1)
        assert (await server.read(reader))[1] == ["/props"]
        server.asleep(value=sleeps)
        server.clock.advance(REST_S / 2)
        assert (await server.read(reader))[1] == ["/props"]
        server.asleep(value=False)
        server.clock.advance(REST_S)
        await server.read(reader)
        assert (await server.read(reader))[1] == (["/props"] if sleeps else ["/slots"])


HOSTILE = {
    "hangs": (hang, Outcome.TIMEOUT),
    "trickles": (trickle, Outcome.TIMEOUT),
    "floods": (flood, Outcome.TOO_LARGE),
    "breaks off": (reply(200, "x", Content_Length="500"), Outcome.INCOMPLETE),
    "fails": (reply(500, "oops"), Outcome.SERVER_ERROR),
}


@pytest.mark.parametrize("bad", HOSTILE)
@pytest.mark.fault("a server's metrics hang, trickle, flood, break off", "I6", "I13")
async def test_a_bad_page_is_one_outcome(bad: str, replay: Replay) -> None:
    replay.routes["GET", "/v1/models"] = reply(200, {"data": [{"id": "m", "owned_by": "vllm"}]})
    replay.otherwise, outcome = HOSTILE[bad]
    with pytest.raises(ProviderError) as caught:
        await load(replay, timeout_s=0.5 if outcome is Outcome.TIMEOUT else 30.0, max_body_bytes=1 << 24)
    assert caught.value.outcome is outcome


async def test_metrics_may_be_elsewhere(replay: Replay) -> None:
    """An inference gateway has them on a port of their own."""
    replay.routes["GET", "/metrics"] = reply(200, PAGES["llm-d"][0])
    replay.routes["GET", "/custom/page"] = reply(200, PAGES["tgi"][0])
    clock = FakeClock()
    for url, kind in (("", "llm-d"), ("/metrics", "llm-d"), ("/custom/page", "tgi")):
        access = Access(endpoint="t", url=f"{replay.url}{url}")
        async with elsewhere.metrics_page(access, clock=clock) as page:
            assert await page.load(None) == PAGES[kind][1]


async def test_a_prometheus_is_asked_once_for_all_figures(replay: Replay) -> None:
    """A label of the result tells which is which; one of the model, which of those is meant."""
    result = [
        {"metric": {"vedette_figure": "running", "model_name": "a"}, "value": [1.0, "3"]},
        {"metric": {"vedette_figure": "running", "model_name": "b"}, "value": [1.0, "1"]},
        {"metric": {"vedette_figure": "cache_use"}, "value": [1.0, "0.25"]},
        {"metric": {"vedette_figure": "slots"}, "value": [1.0, "16"]},
        {"metric": {"vedette_figure": "waiting"}, "value": [1.0, "NaN"]},
        {"metric": {"vedette_figure": "another"}, "value": [1.0, "9"]},
        {"metric": 7, "value": "x"},
        [],
    ]
    body = {"status": "success", "data": {"resultType": "vector", "result": result}}
    replay.otherwise = reply(200, body)
    queries = {"running": "sum by (model_name) (r)", "cache_use": "avg(c)"}
    access = Access(endpoint="t", url=replay.url)
    async with elsewhere.prometheus(access, queries, clock=FakeClock()) as prometheus:
        told = await prometheus.load(None)
        assert told == Activity(
            running=4,
            slots=16,
            cache_use=0.25,
            models={"a": ModelActivity(running=3), "b": ModelActivity(running=1)},
            source="prometheus metrics",
        )
        replay.otherwise = reply(200, json.dumps({"status": "error"}))
        with pytest.raises(ProviderError, match="not from Prometheus"):
            await prometheus.load(None)
    (asked, _) = [one.path for one in replay.requests]
    assert asked.startswith("/api/v1/query?query=label_replace%28avg%28c%29%2C%20%22vedette_figure%22")
    assert elsewhere.combined(queries).count("label_replace") == 2


async def test_a_page_is_read_within_a_deadline(replay: Replay) -> None:
    replay.otherwise = trickle
    access = Access(endpoint="t", url=replay.url, timeout_s=0.3)
    async with elsewhere.metrics_page(access, clock=FakeClock()) as page, asyncio.timeout(60):
        with pytest.raises(ProviderError) as caught:
            await page.load(None)
    assert caught.value.outcome is Outcome.TIMEOUT
