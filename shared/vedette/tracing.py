"""Traces: one from a tick to the event that is recorded, one from a request to its reply; by OpenTelemetry.

Off unless the variables of the OpenTelemetry SDK name an exporter (`OTEL_EXPORTER_OTLP_ENDPOINT`), and the extra "otel"
is installed. The context travels as `traceparent` (W3C) in the headers of messages.
"""

import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Literal

from vedette import __version__, log
from vedette.local import installing

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

TRACE = "traceparent"  # the header
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_TRUE = frozenset({"true", "1"})
_API = "opentelemetry.trace"
_SAY_EVERY_S = 60.0
_NAMED_BY_ONE = frozenset({"answer", "report", "usage", "delivery", "webhook"})


class _Spans:
    """Makes spans by *provider*."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = provider.get_tracer("vedette", __version__)
        self._extract = TraceContextTextMapPropagator().extract
        self._kinds = {"publish": trace.SpanKind.PRODUCER, "process": trace.SpanKind.CONSUMER}

    def span(
        self,
        operation: str,
        what: str,
        attributes: dict[str, str],
        headers: Mapping[str, str] | None,
        **times: Any,
    ) -> AbstractContextManager[Any]:
        return self._tracer.start_as_current_span(
            f"{operation} {what}",
            context=None if headers is None else self._extract(headers),
            kind=self._kinds[operation],
            attributes=attributes,
            **times,
        )


_spans: _Spans | None = None


def is_on() -> bool:
    """Return whether spans are kept."""
    return _spans is not None


def outgoing() -> dict[str, str]:
    """Return the headers by which a message carries the current span on, ours or the program's own; {} without one."""
    headers: dict[str, str] = {}
    if _API in sys.modules:  # a span is made by it, so without it there is none
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        TraceContextTextMapPropagator().inject(headers)
    return headers


def span(
    operation: Literal["publish", "process"],
    subject: str,
    *,
    service: str,
    headers: Mapping[str, str] | None = None,
    start_ns: int | None = None,
) -> AbstractContextManager[Any]:
    """Return a context manager: a span of *service* on a message of *subject*, where spans are kept.

    It belongs to the span that *headers* of a received message carry, else to the current one. It began at *start_ns*
    (nanoseconds of the epoch), by default now.
    """
    if _spans is None:
        return nullcontext()
    attributes = {
        "vedette.service": service,
        "messaging.system": "nats",
        "messaging.operation.name": operation,
        "messaging.destination.name": subject,
    }
    return _spans.span(operation, _kind(subject), attributes, headers, start_time=start_ns)


def _kind(subject: str) -> str:
    """Return a name for the messages of *subject*: few names, without endpoints, models and callers."""
    first, _, rest = subject.partition(".")
    return first if first in _NAMED_BY_ONE else f"{first}.{rest.partition('.')[0]}"


@contextmanager
def using(provider: "TracerProvider") -> Iterator[None]:
    """Keep spans by *provider* while this is entered."""
    global _spans
    before, _spans = _spans, _Spans(provider)
    try:
        yield
    finally:
        _spans = before


class _Warnings(logging.Handler):
    """Writes messages of the SDK into our log, but not each failed attempt of an export."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._log = log.logger("tracing")
        self._again_at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Write *record*, at most once a minute."""
        if time.monotonic() >= self._again_at:
            self._again_at = time.monotonic() + _SAY_EVERY_S
            self._log.warning("tracing.failed", error=record.getMessage())


@contextmanager
def exporting() -> Iterator[None]:
    """Export spans while this is entered, as the variables of the OpenTelemetry SDK say; nothing without them."""
    if not any(map(os.environ.get, _ENDPOINTS)) or os.environ.get("OTEL_SDK_DISABLED", "").lower() in _TRUE:
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        reason, remedy = f"{error.name} is not installed", installing.command("otel")
        log.logger("tracing").warning("tracing.off", reason=reason, remedy=remedy)
        yield
        return
    os.environ.setdefault("OTEL_SERVICE_NAME", "vedette")
    # In seconds. The last spans are tried for so long when a process ends, whose collector may be away.
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", "3")
    logging.getLogger("opentelemetry").addHandler(_Warnings())
    provider = TracerProvider(resource=Resource.create({"service.version": __version__}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        with using(provider):
            yield
    finally:
        provider.shutdown()
