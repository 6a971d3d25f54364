"""Sources outside Kubernetes, names, and what came, changed and left."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.clock import SystemClock
from vedette.settings.sources import Directory, Docker, Srv
from vedette.types import EndpointName
from vedette_discoverer.sources import docker, files
from vedette_discoverer.sources.dns import Names, place_of
from vedette_discoverer.sources.kubernetes.places import is_in
from vedette_discoverer.sources.naming import named
from vedette_discoverer.sources.turnover import Shown, turnover
from vedette_discoverer.sources.view import MAX_ENDPOINTS, Refused, View, Wanted, problems, settled

PROVIDERS = ("ollama", "openai-compatible")


# Names ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=80), min_size=1, max_size=3))
def test_every_name_is_legal_and_the_same_each_time(parts: list[str]) -> None:
    name = named(*parts)
    assert msgspec.convert(name, EndpointName) == name == named(*parts)


def test_long_names_stay_different() -> None:
    long = "a" * 80
    assert named(long, "x") != named(long, "y")
    assert len(named(long, "x")) == 63


# What came, changed and left -----------------------------------------------------------------------------------

QWEN = Wanted(name="ml-qwen", origin="Service ml/qwen", settings={"url": "http://qwen"})


def after(
    shown: dict[str, Shown], view: View, missing: dict[str, float], now_s: float
) -> tuple[dict[str, Shown], dict[str, float]]:
    """Return what is shown, and missing, after a look at *now_s* with a grace of 60 s."""
    done = turnover(shown, view, missing, now_s=now_s, grace_s=60)
    return shown | done.changed, done.missing


def test_what_is_not_found_sleeps_at_once_and_is_gone_after_the_grace_unless_it_returns() -> None:
    """Calls of it would fail from the first second on."""
    shown, missing = after({}, View(wanted=(QWEN,)), {}, 0)
    there = shown["ml-qwen"]
    assert there.state == "there"
    shown, missing = after(shown, View(), missing, 10)
    asleep = msgspec.structs.replace(there, state="asleep", reason="not found; gone after 60 s")
    assert (shown["ml-qwen"], missing) == (asleep, {"ml-qwen": 10})
    shown, missing = after(shown, View(wanted=(QWEN,)), missing, 60)
    assert shown["ml-qwen"] == there
    shown, missing = after(shown, View(), missing, 65)
    shown, missing = after(shown, View(), missing, 124)
    assert shown["ml-qwen"] == asleep
    shown, missing = after(shown, View(), missing, 125)
    assert (shown["ml-qwen"].state, shown["ml-qwen"].reason) == ("gone", "not found for 60 s")
    assert turnover(shown, View(), missing, now_s=200, grace_s=60).changed == {}


def test_discoverers_that_see_different_things_say_so_once() -> None:
    """As in a rollout: one has a namespace that the other has no more. Each second would be a reload everywhere."""
    shown, missing = after({}, View(wanted=(QWEN,)), {}, 0)
    there = shown["ml-qwen"]
    shown, missing = after(shown, View(), missing, 1)
    shown = {"ml-qwen": there}  # the other says
    done = turnover(shown, View(), missing, now_s=2, grace_s=60)
    assert (done.changed, done.missing) == ({}, {"ml-qwen": 1})


def test_a_source_that_was_switched_off_says_nothing_of_its_servers() -> None:
    shown, _ = after({}, View(wanted=(QWEN,)), {}, 0)
    done = turnover(shown, View(), {}, now_s=1, grace_s=60, at_once=False)
    assert (done.changed, done.missing) == ({}, {"ml-qwen": 1})
    gone = turnover(shown, View(), done.missing, now_s=61, grace_s=60, at_once=False)
    assert gone.changed["ml-qwen"].state == "gone"


def test_what_cannot_be_seen_stays_as_it_was() -> None:
    shown, missing = after({}, View(wanted=(QWEN,)), {}, 0)
    for scope in ("", "Service ml/"):
        away = View(unseen={scope: "away"})
        assert after(shown, away, {}, 1000) == (shown, {})
    shown, missing = after(shown, View(unseen={"Service bank/": "away"}), {}, 1000)
    assert missing == {"ml-qwen": 1000}


def test_nothing_is_published_while_nothing_changes() -> None:
    view = View(wanted=(QWEN,), refused=(Refused(name="ml-bad", origin="Service ml/bad", reason="no port"),))
    shown, _ = after({}, view, {}, 0)
    assert turnover(shown, view, {}, now_s=1, grace_s=60).changed == {}


def test_what_falls_asleep_is_published_at_once() -> None:
    shown, _ = after({}, View(wanted=(QWEN,)), {}, 0)
    asleep = msgspec.structs.replace(QWEN, state="asleep", reason="scaled to zero")
    shown, _ = after(shown, View(wanted=(asleep,)), {}, 1)
    assert (shown["ml-qwen"].state, shown["ml-qwen"].reason) == ("asleep", "scaled to zero")


def test_an_object_that_becomes_wrong_leaves_after_the_grace_too() -> None:
    """A mistake in an annotation may be corrected within a minute."""
    wrong = View(refused=(Refused(name="ml-qwen", origin="Service ml/qwen", reason="no port"),))
    shown, missing = after({}, View(wanted=(QWEN,)), {}, 0)
    shown, missing = after(shown, wrong, missing, 1)
    assert shown["ml-qwen"].state == "there"
    shown, missing = after(shown, wrong, missing, 61)
    assert (shown["ml-qwen"].state, shown["ml-qwen"].reason) == ("refused", "no port")
    shown, missing = after(shown, View(), missing, 62)
    assert shown["ml-qwen"].state == "gone"


def test_a_name_belongs_to_who_has_it() -> None:
    """`a-b` and `c` make the name that `a` and `b-c` make."""
    one, other = (
        Wanted(name="a-b-c", origin=origin, settings={"url": f"http://{origin}"})
        for origin in ("Service a-b/c", "Service a/b-c")
    )
    view = settled(View(wanted=(other, one)), {})
    assert (view.wanted, [refused.origin for refused in view.refused]) == ((one,), ["Service a/b-c"])
    assert "Service a-b/c has the name a-b-c" in problems(view)[0]
    view = settled(View(wanted=(one, other)), {"a-b-c": "Service a/b-c"})
    assert view.wanted == (other,)


def test_a_source_has_a_limit_and_those_that_are_there_stay() -> None:
    many = tuple(
        Wanted(name=f"n-{place:05}", origin=f"Service n/{place}", settings={})
        for place in range(MAX_ENDPOINTS + 2)
    )
    view = settled(View(wanted=many), {many[-1].name: many[-1].origin})
    assert len(view.wanted) == MAX_ENDPOINTS
    assert many[-1] in view.wanted
    assert [one.name for one in view.refused] == [many[-3].name, many[-2].name]


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("qwen.ml.svc", True),
        ("qwen.ml.svc.cluster.local", True),
        ("qwen-0.qwen.ml.svc.cluster.local", True),
        ("QWEN.ML.SVC.", True),
        ("qwen.bank.svc", False),
        ("ml.svc", False),
        ("evil.example.com", False),
        ("ml.svc.evil.example.com", False),
        ("qwen.ml.svcx.evil.com", False),
        ("a.b.c.ml.svc", False),
    ],
)
def test_only_names_of_its_own_namespace_are_inside(host: str, inside: bool) -> None:
    assert is_in(host, "ml") is inside


# Files ---------------------------------------------------------------------------------------------------------

TOML = """
[endpoints.gpu]
provider = "openai-compatible"
url = "http://gpu:8000"
key = "gpu"

[endpoints.Bad]
url = "http://bad"
"""
# The form of llm-d's router, written for this test.
LLM_D = """
endpoints:
  - {name: vllm-0, address: 10.0.0.1, port: "8000", labels: {model: Qwen3-32B}}
  - {name: vllm-1, namespace: lab, address: "fd00::1", port: 8001}
  - {name: vllm-2, address: "10.0.0.3", port: "eighty"}
  - {address: "10.0.0.4", port: "8000"}
  - {name: decode-0, address: 10.0.0.5, port: "8000", labels: {llm-d.ai/role: decode}}
  - {name: prefill-0, address: 10.0.0.6, port: "8000", labels: {llm-d.ai/role: prefill}}
"""


async def test_a_directory_of_toml_and_of_llm_ds_files_is_read(tmp_path: Path) -> None:
    (tmp_path / "ours.toml").write_text(TOML)
    (tmp_path / "endpoints.yaml").write_text(LLM_D)
    (tmp_path / "same.json").write_text('{"endpoints": [{"name": "one", "address": "h", "port": "1"}]}')
    (tmp_path / ".hidden.toml").write_text("[")
    (tmp_path / "notes.txt").write_text("[")
    view = await files.Files(Directory(path=str(tmp_path))).view()
    assert {one.name: (one.settings["url"], one.key) for one in view.wanted} == {
        "gpu": ("http://gpu:8000", "gpu"),
        "default-vllm-0": ("http://10.0.0.1:8000", None),
        "default-decode-0": ("http://10.0.0.5:8000", None),
        "lab-vllm-1": ("http://[fd00::1]:8001", None),
        "default-one": ("http://h:1", None),
    }
    assert sorted(problems(view)) == [
        "endpoints.yaml [3]: the entry has no name",
        "endpoints.yaml default/vllm-2: port 'eighty' is not a number from 1 to 65535",
        "ours.toml Bad: an endpoint's name is lower-case letters, digits and hyphens, at most 63",
    ]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('api_key = "hunter2"', "api_key may not be set by a file of the directory"),
        ('headers = { authorization = "hunter2" }', "headers may not be set by a file of the directory"),
        ('url = "http://me:hunter2@gpu:8000"', "holds a secret"),
    ],
)
async def test_a_secret_in_a_file_of_the_directory_is_not_published(
    line: str, says: str, tmp_path: Path
) -> None:
    """All clients may read what is published."""
    url = "" if line.startswith("url") else 'url = "http://gpu:8000"\n'
    (tmp_path / "ours.toml").write_text(f"[endpoints.gpu]\n{url}{line}\n")
    view = await files.Files(Directory(path=str(tmp_path))).view()
    assert view.wanted == ()
    (problem,) = problems(view)
    assert says in problem
    assert "hunter2" not in str(view)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.toml", "[endpoints", "is not valid TOML"),
        ("a.toml", "x = 1", "has no tables [endpoints.NAME]"),
        ("a.yaml", "endpoints: [", "is not valid YAML"),
        ("a.yaml", "- 1", "has no list `endpoints`"),
        ("a.yaml", "endpoints: {a: 1}", "has no list `endpoints`"),
        ("a.json", "{", "is not valid JSON"),
        ("a.yaml", "!!python/object/apply:os.system [id]", "is not valid YAML"),
    ],
)
async def test_a_file_with_a_mistake_changes_nothing_of_what_it_gave(
    tmp_path: Path, name: str, text: str, says: str
) -> None:
    """What was read from it before is in its scope."""
    (tmp_path / name).write_text(text)
    (tmp_path / "good.toml").write_text(TOML)
    view = await files.Files(Directory(path=str(tmp_path))).view()
    assert says in view.unseen[f"{name} "]
    assert [one.name for one in view.wanted] == ["gpu"]
    held = {"x": Shown(origin=f"{name} x", state="there"), "y": Shown(origin="good.toml y", state="there")}
    assert turnover(held, view, {}, now_s=0, grace_s=60).missing == {"y": 0}


async def test_a_directory_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    view = await files.Files(Directory(path=str(tmp_path / "absent"))).view()
    assert list(view.unseen) == [""]


# DNS -----------------------------------------------------------------------------------------------------------


class Answering(asyncio.DatagramProtocol):
    """A DNS server with the SRV records of one name."""

    def __init__(self, name: str, *records: str) -> None:
        self.name = name
        self.records = records
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        question = dns.message.from_wire(data)
        reply = dns.message.make_response(question)
        if question.question[0].name.to_text() != f"{self.name}.":
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif self.records:
            reply.answer.append(dns.rrset.from_text(f"{self.name}.", 60, "IN", "SRV", *self.records))
        assert self.transport is not None
        self.transport.sendto(reply.to_wire(), addr)


@asynccontextmanager
async def answering(name: str, *records: str) -> AsyncIterator[str]:
    """Serve records; yield the address of the server."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Answering(name, *records), local_addr=("127.0.0.1", 0)
    )
    try:
        yield f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


async def test_each_target_of_an_srv_record_is_an_endpoint() -> None:
    name = "_vllm._tcp.example.com"
    records = ("0 5 8000 GPU-1.example.com.", "0 5 8001 gpu-1.example.com.", "0 5 8000 gpu-2.example.com.")
    async with answering(name, *records) as server:
        settings = Srv(name=name, servers=(server,), path="/llm", key="gpus", scheme="https")
        view = await Names({"gpus": settings}).view()
    assert {one.name: one.settings["url"] for one in view.wanted} == {
        "gpus-gpu-1-example-com-8000": "https://gpu-1.example.com:8000/llm",
        "gpus-gpu-1-example-com-8001": "https://gpu-1.example.com:8001/llm",
        "gpus-gpu-2-example-com-8000": "https://gpu-2.example.com:8000/llm",
    }
    assert {one.key for one in view.wanted} == {"gpus"}


async def test_a_name_without_records_has_no_endpoints_and_silence_changes_nothing() -> None:
    """The root as the target says that the service is not offered (RFC 2782)."""
    async with answering("_vllm._tcp.example.com", "0 0 0 .") as server:
        there = Srv(name="_vllm._tcp.example.com", servers=(server,))
        absent = Srv(name="_other._tcp.example.com", servers=(server,))
        view = await Names({"a": there, "b": absent}).view()
        assert (view.wanted, view.unseen) == ((), {})
        assert view.notes == ("SRV _other._tcp.example.com: no records",)
    silent = Srv(name="_vllm._tcp.example.com", servers=(server,), timeout_s=0.1)
    view = await Names({"a": silent}).view()
    assert list(view.unseen) == ["SRV _vllm._tcp.example.com "]


def test_servers_of_dns_are_addresses() -> None:
    assert [place_of(one) for one in ("10.0.0.1", "10.0.0.1:5353", "fd00::1", "[fd00::1]:5353")] == [
        ("10.0.0.1", 53),
        ("10.0.0.1", 5353),
        ("fd00::1", 53),
        ("fd00::1", 5353),
    ]
    with pytest.raises(ValueError):
        place_of("ns.example.com")


# Docker --------------------------------------------------------------------------------------------------------


def container(
    name: str, *ports: tuple[int, int | None], state: str = "running", **labels: str
) -> dict[str, Any]:
    """Return a container as Docker 20.10 lists it; *ports* inside and published."""
    return {
        "Id": "4f66ad",
        "Names": [f"/{name}"],
        "State": state,
        "Labels": {f"vedette.dev/{key.replace('_', '-')}": value for key, value in labels.items()},
        "Ports": [
            {"PrivatePort": inside, "Type": "tcp"} | ({"IP": "0.0.0.0", "PublicPort": out} if out else {})
            for inside, out in ports
        ],
        "NetworkSettings": {"Networks": {"models": {"IPAddress": "172.18.0.2"}}},
    }


def test_a_labelled_container_is_called_at_its_published_port() -> None:
    view = docker.read(
        [container("ollama", (11434, 32768), provider="ollama", key="a", host_group="gpu0")],
        Docker(enabled=True),
        providers=PROVIDERS,
    )
    (one,) = view.wanted
    assert (one.name, one.origin, one.key) == ("ollama", "container ollama", "docker/a")
    assert one.settings == {"provider": "ollama", "url": "http://127.0.0.1:32768", "host_group": "gpu0"}


def test_in_a_network_a_container_is_called_by_its_name() -> None:
    settings = Docker(enabled=True, network="models")
    one = container("vllm", (8000, None), (9090, None), provider="openai-compatible", port="8000", path="/v1")
    assert (
        docker.read([one], settings, providers=PROVIDERS).wanted[0].settings["url"] == "http://vllm:8000/v1"
    )
    elsewhere = docker.read([one], Docker(enabled=True, network="other"), providers=PROVIDERS)
    assert problems(elsewhere) == ["container vllm: is not in the network other"]


@pytest.mark.parametrize(
    ("ports", "labels", "says"),
    [
        ([(11434, None)], {}, "publishes no TCP port"),
        ([(80, 1), (81, 2)], {}, "publishes several ports; choose one by vedette.dev/port: 80, 81"),
        ([(80, 1)], {"port": "81"}, "it publishes no port 81, but 80"),
        ([(80, 1)], {"port": "http"}, "a container's ports have no names"),
        ([(80, 1)], {"replicas": "each"}, "a container is one endpoint"),
    ],
)
def test_a_container_without_one_port_says_so(
    ports: list[tuple[int, int | None]], labels: dict[str, str], says: str
) -> None:
    one = container("x", *ports, provider="ollama", **labels)
    assert says in problems(docker.read([one], Docker(enabled=True), providers=PROVIDERS))[0]


def test_a_paused_container_is_asleep() -> None:
    one = container("x", (80, 8080), provider="ollama", state="paused")
    (wanted,) = docker.read([one], Docker(enabled=True), providers=PROVIDERS).wanted
    assert (wanted.state, wanted.reason) == ("asleep", "the container is paused")


@pytest.mark.parametrize("nonsense", [None, 7, "x", [], [None], {"Names": 7, "Ports": 7, "Labels": 7}])
def test_no_container_is_trusted_to_have_the_form(nonsense: Any) -> None:
    assert docker.read([nonsense], Docker(enabled=True), providers=PROVIDERS).wanted == ()


async def test_an_engine_is_asked_by_its_socket_and_one_that_is_away_changes_nothing(tmp_path: Path) -> None:
    """One request, a GET; nothing else is ever asked of it."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head.splitlines()[0])
        body = msgspec.json.encode([container("ollama", (11434, 11434), provider="ollama")])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    path = tmp_path / "docker.sock"
    settings = Docker(enabled=True, socket=str(path))
    source = docker.Containers(settings, providers=PROVIDERS, clock=SystemClock())
    async with source.open():
        assert list((await source.view()).unseen) == [""]
        async with await asyncio.start_unix_server(answer, path):
            view = await source.view()
    assert [one.settings["url"] for one in view.wanted] == ["http://127.0.0.1:11434"]
    assert asked == [
        "GET /containers/json?filters=%7B%22label%22%3A%5B%22vedette.dev%2Fprovider%22%5D%7D HTTP/1.1"
    ]
