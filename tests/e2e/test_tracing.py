"""Traces as a collector gets them, from a running Vedette."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from commands import up
from eventually import eventually
from providers.replay import replaying, reply
from vedette.runtime import web

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """The spans that were exported, by trace."""

    def __init__(self) -> None:
        self.url = ""
        self.traces: dict[str, list[Span]] = defaultdict(list)

    async def take(self, request: Request) -> Response:
        """Take what a process exports."""
        sent = ExportTraceServiceRequest.FromString(await request.body())
        for resource in sent.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.traces[span.trace_id.hex()].append(span)
        body = ExportTraceServiceResponse().SerializeToString()
        return Response(body, media_type="application/x-protobuf")

    def paths(self, name: str) -> list[list[str]]:
        """Return each way from a root to a span called *name*, as the names of spans with their services."""
        found = []
        for spans in self.traces.values():
            by_id = {span.span_id: span for span in spans}
            for span in spans:
                if _called(span) == name:
                    path = [name]
                    while span := by_id.get(span.parent_span_id):
                        path.append(_called(span))
                    found.append(path[::-1])
        return found


def _called(span: Span) -> str:
    values = {one.key: one.value.string_value for one in span.attributes}
    return f"{values['vedette.service']}: {span.name}"


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    collector = Collector()
    app = Starlette(routes=[Route("/v1/traces", collector.take, methods=["POST"])])
    async with web.listening(app, "127.0.0.1", 0, section="collector") as collector.url:
        yield collector


async def test_a_trace_leads_from_the_tick_to_the_recorded_probe(tmp_path: Path) -> None:
    """And from a request that brings its own trace to its reply, in the recommender's own process."""
    async with replaying() as server, collecting() as collector:
        listing = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "vllm"}]}
        server.routes["GET", "/v1/models"] = reply(200, listing)
        config = (
            f'[endpoints.box]\nprovider = "openai-compatible"\nurl = "{server.url}"\nmeasure = false\n'
            '[schedule]\navailability = "2s"\n'
        )
        traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        async with up(tmp_path / "state", config, **traced) as running:
            await running.line("found")

            expected = [
                "ticker: publish schedule.availability",
                "prober: process schedule.availability",
                "prober: publish job.probe",
                "prober: process job.probe",
                "prober: publish model.probed",
                "recorder: process model.probed",
            ]

            async def probed() -> bool:
                return expected in collector.paths(expected[-1])

            await eventually(probed, what="the trace of a probe")
            agent = await nats.connect(running.connection.nats_url)
            asked = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            await agent.request("models.list", b"{}", timeout=60, headers=asked)
            await agent.close()

            async def replied() -> list[Span]:
                return collector.traces.get(TRACE, [])

            (span,) = await eventually(replied, what="the trace of the request")
            assert _called(span) == "recommender: process models.list"
            assert span.parent_span_id.hex() == PARENT
            assert await running.stop() == 0


@pytest.mark.lane("faults")
@pytest.mark.fault("the collector of traces is away", "I4", "I11")
async def test_a_collector_that_is_away_costs_nothing(tmp_path: Path) -> None:
    """Vedette starts, works and stops as without it."""
    async with up(tmp_path / "state", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1") as running:
        await running.line("ready")
        assert (await running.ask("endpoints")).code == 0
        async with asyncio.timeout(60):
            assert await running.stop() == 0
