"""What Vedette says of every model in the recorded servers is what `truth.toml` says is true."""

import json
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from msgspec import Struct

from providers.conftest import opened
from providers.replay import FIXTURES, Replay
from vedette import providers
from vedette.clock import SystemClock
from vedette.endpoints import OpenEndpoint
from vedette.errors import ProviderError
from vedette.messages.kinds import TASKS
from vedette.providers import Described
from vedette.settings import EndpointSettings
from vedette.types import Capability, Kind, Locality, ModelInfo, Residency
from vedette_discoverer.handlers import compose


class Known(Struct, frozen=True, forbid_unknown_fields=True):
    """Capabilities by the evidence for them."""

    declared: list[str]
    inferred: list[str]


class Truth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is true of one model; the fields are those of the table."""

    on: list[str]
    name: str
    kind: Kind
    resident_on: list[str]
    described: bool = True
    family: str | None = None
    architecture: str | None = None
    parameters: int | None = None
    active_parameters: int | None = None
    quantization: str | None = None
    format: str | None = None
    size_bytes: int | None = None
    license: str | None = None
    native: int | None = None
    configured: int | None = None
    served: int | None = None
    dimensions: int | None = None
    locality: Locality
    canonical: str | None = None
    knowledge_cutoff: str | None = None
    by_name: list[str] = []
    input: list[str]
    output: list[str]
    yes: Known
    no: Known


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    providers: dict[str, Literal["ollama", "openai-compatible"]]
    model: list[Truth]


TABLE = msgspec.convert(tomllib.loads((Path(__file__).parent / "truth.toml").read_text()), Table)
ROWS = {(recorded, truth.name): truth for truth in TABLE.model for recorded in truth.on}


# Recorded at a path of a gateway, or of a server that only a flavour or a second request tells apart: what is said of
# their models is in tests of their own.
ELSEWHERE = ("mlx/", "olla/", "transformers/")


def _recorded() -> set[tuple[str, str]]:
    """Return every model that is listed in any recording."""
    found = set()
    for file in (*FIXTURES.glob("*/*/tags.json"), *FIXTURES.glob("*/*/models.json")):
        told = json.loads(file.read_text())
        if "request" not in told:
            continue  # a body alone, which a test of its own plays back
        body = told["json"]
        entries = body["data"] if "data" in body else body["models"]
        folder = str(file.parent.relative_to(FIXTURES))
        if folder.startswith(ELSEWHERE):
            continue
        found |= {(folder, entry.get("id") or entry["name"]) for entry in entries}
    return found


def test_the_table_has_every_recorded_model_and_no_other() -> None:
    """A body that is added without its truth would be trusted unread."""
    assert set(ROWS) == _recorded()
    assert len(ROWS) == sum(len(truth.on) for truth in TABLE.model)


@pytest.mark.parametrize(("recorded", "name"), sorted(ROWS))
async def test_what_is_said_of_a_model_is_true(recorded: str, name: str, replay: Replay) -> None:
    """From the recorded bodies through provider and discoverer, field by field."""
    replay.recorded(recorded)
    info, residency = await _discovered(TABLE.providers[recorded], name, replay.url)
    truth = ROWS[recorded, name]
    said = _said(info, residency, recorded)
    wanted = msgspec.to_builtins(msgspec.structs.replace(truth, on=[recorded]))
    wanted["resident_on"] = [recorded] if recorded in truth.resident_on else []
    assert said == {**wanted, "yes": _sorted(truth.yes), "no": _sorted(truth.no)}


def test_the_same_weights_are_joined_across_servers() -> None:
    """SmolLM2 in Ollama and in both llama.cpp servers, by four names, one identity."""
    by_identity: dict[str, set[str]] = {}
    for (recorded, _), truth in ROWS.items():
        if truth.canonical:
            by_identity.setdefault(truth.canonical, set()).add(recorded)
    assert len(by_identity["smollm2-135m-instruct:q4_1"]) == 4


async def _discovered(provider: str, name: str, url: str) -> tuple[ModelInfo, Residency | None]:
    async with opened(provider, url) as endpoint:
        [entry] = [entry for entry in await endpoint.list_models() if entry.name == name]
        problem = None
        try:
            described = await endpoint.describe(entry)
        except ProviderError as error:
            described, problem = Described(), error.detail
        loaded = await endpoint.resident()
        there = OpenEndpoint(
            name="test",
            settings=EndpointSettings(provider=provider, url=url),
            provider=providers.load(provider),
            endpoint=endpoint,
            clock=SystemClock(),
        )
        return compose(there, entry, described, problem), (loaded or {}).get(name)


def _said(info: ModelInfo, residency: Residency | None, recorded: str) -> dict[str, Any]:
    served = info.served_context_tokens or (residency.context_tokens if residency else None)
    said = Truth(
        on=[recorded],
        name=info.model.name,
        kind=info.kind,
        resident_on=[recorded] if residency is not None and residency.resident else [],
        described=info.described,
        family=info.family,
        architecture=info.architecture,
        parameters=info.parameters,
        active_parameters=info.active_parameters,
        quantization=info.quantization,
        format=info.format,
        size_bytes=info.size_bytes,
        license=info.license,
        native=info.native_context_tokens,
        configured=info.configured_context_tokens,
        served=served,
        dimensions=info.embedding_dimensions,
        locality=info.locality,
        canonical=info.canonical,
        knowledge_cutoff=info.knowledge_cutoff,
        by_name=sorted(field for field, source in info.sources.items() if source.startswith("name")),
        input=list(info.input_modalities),
        output=list(info.output_modalities),
        yes=_claimed(info, value=True),
        no=_claimed(info, value=False),
    )
    return {**msgspec.to_builtins(said), "yes": _sorted(said.yes), "no": _sorted(said.no)}


def _claimed(info: ModelInfo, *, value: bool) -> Known:
    claims = {name: claim for name, claim in info.capabilities.items() if claim.value is value}
    return Known(
        declared=[name for name, claim in claims.items() if claim.evidence == "declared"],
        inferred=[name for name, claim in claims.items() if claim.evidence == "inferred"],
    )


def _sorted(known: Known) -> dict[str, list[str]]:
    """Return capabilities by evidence, `tasks` written out, each of them one that exists."""
    tasks = [str(task) for task in TASKS]
    written = {
        evidence: sorted(
            Capability(name)
            for entry in getattr(known, evidence)
            for name in (tasks if entry == "tasks" else [entry])
        )
        for evidence in ("declared", "inferred")
    }
    return {evidence: [str(name) for name in names] for evidence, names in written.items()}
