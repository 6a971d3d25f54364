"""What the messages, the documents and the example configuration say of the code is so."""

import ast
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from vedette import settings
from vedette.bus import stream_configs
from vedette.messages import events
from vedette.messages.channels import DURABLES, EVENTS, PUBLIC_EVENTS, QUERIES
from vedette.messages.consumers import deliveries, host_jobs
from vedette.messages.declaring import Query
from vedette.settings import Section, Settings

ROOT = Path(__file__).parents[2]
PACKAGES = (ROOT / "shared" / "vedette", *(path for path in (ROOT / "services").glob("*/vedette_*")))
MESSAGES: tuple[type[Struct], ...] = (*EVENTS, events.Progress, events.DeadLetter)
# Messages whose sender is still to come: the test fails when it has come and this was not taken out.
AWAITED: set[type[Struct]] = set()


@cache
def _calls() -> set[str]:
    """Return the names of everything that the product's code calls, by its last part."""
    called = set()
    for package in PACKAGES:
        for file in package.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                    called.add(node.func.id if isinstance(node.func, ast.Name) else node.func.attr)
    return called


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m.__name__)
def test_every_message_has_a_sender(message: type[Struct]) -> None:
    assert (message.__name__ in _calls()) is (message not in AWAITED)


@cache
def _heard() -> list[str]:
    """Return every subject that somebody consumes, follows or subscribes."""
    wholes = {
        "MODELS": "model.>",
        "ENDPOINTS": "endpoint.observed.*",
        "DEFINITIONS": "endpoint.defined.*",
        "REPORTS": "report.>",
    }  # what a durable without filters takes
    heard = [
        f for d in (*DURABLES, host_jobs("h"), deliveries("ops")) for f in d.filters or (wholes[d.stream],)
    ]
    for package in PACKAGES:
        for file in package.rglob("*.py"):
            source = file.read_text()
            heard += re.findall(r'\.subscribe\("([^"]+)"', source)
            if ".follow(" in source:
                heard += _followed(ast.parse(source))
    return heard


def _followed(module: ast.Module) -> list[str]:
    """Return every subject in the calls of `follow` (of the bus: stream, subject; of a service: pairs of them)."""
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    follows = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "follow"]
    literals = [node for call in follows for node in ast.walk(call) if isinstance(node, ast.Constant)]
    return [node.value for node in literals if isinstance(node.value, str) and "." in node.value]


def _matches(pattern: str, subject: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", r"[^.]+").replace(">", r".+")
    return re.fullmatch(expression, subject) is not None


@pytest.mark.parametrize(
    "subject",
    [
        "schedule.discovery",
        "schedule.availability",
        "schedule.performance",
        "schedule.quality",
        "schedule.retention",
        "job.discover.h.local",
        "job.probe.h.local",
        "job.benchmark.h.local.m",
        "job.verify.h.local.m",
        "job.evaluate.h.local.m",
        "endpoint.observed.local",
        *(f"{subject}.local.m" for subject in PUBLIC_EVENTS if subject != "endpoint.load"),
        "endpoint.load.local",
        "report.local.m",
        "answer.chat",
        "delivery.ops",
        "webhook.ops",
        "progress.1",
    ],
)
def test_every_subject_has_a_hearer(subject: str) -> None:
    assert any(_matches(pattern, subject) for pattern in _heard())


def test_every_stream_takes_what_is_published() -> None:
    """No event's subject falls through the streams that provisioning makes."""
    taken = [subject for stream in stream_configs.streams(Settings()) for subject in stream.subjects or ()]
    for subject in (
        "schedule.x",
        "job.x.y.z",
        "endpoint.observed.x",
        "endpoint.load.x",
        "model.x.y.z",
        "answer.x",
        "report.x.y",
        "delivery.x",
        "webhook.x",
        "dead.x",
    ):
        assert any(_matches(pattern, subject) for pattern in taken), subject


@pytest.mark.parametrize("document", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md")), ids=str)
def test_files_that_a_document_names_are_there(document: Path) -> None:
    text = document.read_text()
    links = {
        target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target
    }
    named = set(re.findall(r"`((?:shared|services|tests|docs|deploy|examples|scripts)/[\w./-]+)`", text))
    for link in links - {""}:
        assert (document.parent / link).exists(), link
    for name in named:
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_every_package_is_typed_and_every_service_described(package: Path) -> None:
    assert (package / "py.typed").exists()
    if package.parent.parent.name == "services":
        assert (package.parent / "README.md").read_text().startswith(f"# {package.parent.name.capitalize()}")


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.subject)
def test_the_readme_of_a_service_names_the_queries_that_it_answers(query: Query[Any, Any]) -> None:
    page = (ROOT / "services" / query.service / "README.md").read_text()
    assert f"`{query.subject}`" in page.partition("| replies to |")[2].partition("\n")[0]


def _example() -> dict[str, object]:
    """Return the example configuration with everything in it switched on."""
    text = (ROOT / "shared" / "vedette" / "example.toml").read_text()
    return tomllib.loads(re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE))


def test_the_example_configuration_holds() -> None:
    """As it stands, and with every line in it switched on."""
    settings.load(str(ROOT / "shared" / "vedette" / "example.toml"))
    whole = settings.parse(_example(), where="example")
    assert whole.endpoints["gpu"].budget.requests_per_day


def test_what_the_example_calls_a_default_is_one() -> None:
    written = tomllib.loads((ROOT / "shared" / "vedette" / "example.toml").read_text())
    for name in set(Settings.sections()) - {"endpoints", "recommend", "quality", "webhooks"}:
        _are_defaults(written.get(name, {}), getattr(Settings(), name), name)


def _are_defaults(written: dict[str, object], default: object, where: str) -> None:
    for key, value in written.items():
        wanted = getattr(default, key)
        if isinstance(wanted, Section) and isinstance(value, dict):
            _are_defaults(value, wanted, f"{where}.{key}")
        elif not (
            wanted == {} and isinstance(value, dict)
        ):  # named tables, of which there are none by default
            assert wanted == (tuple(value) if isinstance(value, list) else value), f"{where}.{key}"


def _is_whole(written: object, section: Section, where: str) -> None:
    assert isinstance(written, dict)
    assert set(section.__struct_fields__) == set(written), where
    for key in section.__struct_fields__:
        if where == "discovery" and isinstance(inner := getattr(section, key), Section):
            _is_whole(written[key], inner, f"{where}.{key}")


def test_the_example_shows_every_setting() -> None:
    example = _example()
    for name in set(Settings.sections()) - {"endpoints", "recommend", "quality", "webhooks"}:
        section: Section = getattr(Settings(), name)
        _is_whole(example[name], section, name)
    shown: set[str] = set().union(*example["endpoints"].values())  # type: ignore[attr-defined]
    assert shown == set(settings.EndpointSettings.__struct_fields__)
    (webhook,) = example["webhooks"]  # type: ignore[misc,index]
    assert set(webhook) == set(settings.Webhook.__struct_fields__)
