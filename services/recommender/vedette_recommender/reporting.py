"""Receives agents' reports, and publishes their sums every few seconds, one event for each reported model.

If an event cannot be published, it stays in memory (at most two sums for each model) and is published later. A killed
replica loses its last window.
"""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from uuid import uuid4

import msgspec
import nats.errors
from msgspec.structs import replace

from vedette.bus.bus import Bus
from vedette.errors import ClockWrong, Conflict, RequestError, UndecodableMessage
from vedette.messages import ids, subjects
from vedette.messages.catalogue import Catalogue, Versioned
from vedette.messages.channels import QUERIES
from vedette.messages.codec import encode
from vedette.messages.events import ModelReported
from vedette.messages.queries import MeasuredReply, MeasuredRequest, ReportReply, ReportRequest
from vedette.messages.validation import decode, reference, unknown_model, use_case_of
from vedette.types import ModelRef
from vedette_recommender.reports import Reports, Sums, fold, watch

REPORT = next(query for query in QUERIES if query.subject == "report.outcome")
MEASURED = next(query for query in QUERIES if query.subject == "report.measured")
_DECODER = msgspec.json.Decoder(ReportRequest)
_MEASURED = msgspec.json.Decoder(MeasuredRequest)
_COUNTED = encode(ReportReply(counted=True))
_STOPPING = encode(ReportReply(counted=False, reason="this recommender is stopping; report again"))
_MEASURED_EVERY_S = 1.0
_MAX_REPLICAS = 32  # whose last window an event names; each entry matters for a retry's time only


class Reporting:
    """Replies to `report.outcome`. While `run` is running, it publishes the reports every *every_s*."""

    def __init__(
        self, *, bus: Bus, catalogue: Catalogue, use_cases: Collection[str], every_s: float = 10.0
    ) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self.use_cases = use_cases
        self._every_s = every_s
        self._replica = uuid4().hex[:12]
        self._windows = 0
        self._reports = Reports()
        self._waiting: dict[ModelRef, Sums] = {}
        # Once published, with their number: unchanged until it is certain that the stream has them.
        self._sent: dict[ModelRef, tuple[int, Sums]] = {}
        self._failing = False
        self._closed = False

    def answer(self, _: str, payload: bytes, asker: str | None = None) -> bytes:
        """Return the encoded reply to the report in *payload* by the account *asker*.

        Raises RequestError, which is a reply too.
        """
        refusal = self._take(decode(payload, _DECODER), asker, measured=False)
        if self._closed:
            return _STOPPING
        return encode(ReportReply(counted=False, reason=refusal)) if refusal else _COUNTED

    def answer_measured(self, _: str, payload: bytes) -> bytes:
        """Return the encoded reply to the gateway's reports in *payload*. Raises RequestError."""
        counted = 0
        for report in decode(payload, _MEASURED).reports:
            with suppress(RequestError):  # a model that is gone meanwhile, say
                counted += self._take(report, None, measured=True) is None
        return encode(MeasuredReply(counted=counted))

    def _take(self, report: ReportRequest, asker: str | None, *, measured: bool) -> str | None:
        """Count *report*; return None, or why it is not counted. Raises RequestError."""
        model = reference(report.model)
        state = self._catalogue.get(model)
        if state is None or state.info is None or not state.present:
            raise unknown_model(model, (state.model for state in self._catalogue.present()))
        if report.use_case is not None:
            report = replace(report, use_case=use_case_of(report.use_case, self.use_cases))
        first, last = report.ttft_ms, report.e2e_ms
        if first is not None and last is not None and first > last:
            message = f"ttft_ms: {first:g} is more than e2e_ms, which is {last:g}"
            raise RequestError(code="invalid_value", message=message, field="ttft_ms")
        if self._closed:
            return "stopping"
        return self._reports.add(
            model,
            report,
            state.info.digest,
            self._bus.clock.now(),
            asker,
            state.performance,
            measured=measured,
        )

    async def run(self) -> None:
        """Publish until cancelled: what the gateway measured at once, for it shows at once that a model is slower."""
        loop = asyncio.get_running_loop()
        whole_at = loop.time() + self._every_s
        while True:
            await asyncio.sleep(min(_MEASURED_EVERY_S, self._every_s))
            if loop.time() >= whole_at:
                whole_at = loop.time() + self._every_s
                await self.flush()
            else:
                await self._flush(self._reports.take_measured())

    async def close(self) -> None:
        """Accept no more reports, and publish the remaining ones."""
        self._closed = True
        await self.flush()

    async def flush(self) -> None:
        """Publish the reports; keep those that cannot be published now for the next time.

        One model after the other, so that an event of MODELS never waits behind more than one report.
        """
        await self._flush(self._reports.take())

    async def _flush(self, taken: Mapping[ModelRef, Sums]) -> None:
        for model, sums in taken.items():
            self._waiting[model] = self._waiting[model] + sums if model in self._waiting else sums
        for model in {**self._sent, **self._waiting}:
            try:
                await self._publish(model)
            except ClockWrong:
                return  # said where the clock is compared
            except (Conflict, UndecodableMessage) as error:
                self._bus.log.warning("reports.conflict", model=str(model), error=str(error))
            except (nats.errors.Error, TimeoutError, OSError) as error:
                if not self._failing:  # once, not per attempt
                    self._bus.log.error("reports.unpublished", error=f"{type(error).__name__}: {error}")
                self._failing = True
                return
        if self._failing:
            self._bus.log.warning("reports.recovered")
        self._failing = False

    async def _publish(self, model: ModelRef) -> None:
        """Publish the sums of *model*, first those of which it is not certain that the stream has them."""
        subject = subjects.of_report(model)
        while model in self._sent or model in self._waiting:
            if model not in self._sent:
                self._windows += 1
                self._sent[model] = (self._windows, self._waiting.pop(model))
            window, sums = self._sent[model]

            def step(
                held: Versioned[ModelReported] | None, window: int = window, sums: Sums = sums
            ) -> ModelReported | None:
                return self._after(held, model, window, sums)

            state = self._catalogue.get(model)
            await self._bus.publisher.advance(
                "REPORTS", subject, step, known=state.reported if state else None
            )
            del self._sent[model]

    def _after(
        self, held: Versioned[ModelReported] | None, model: ModelRef, window: int, sums: Sums
    ) -> ModelReported | None:
        """Return the event by which *sums* join the state *held*, or None when they are in it."""
        included = dict(held.event.included) if held else {}
        if included.pop(self._replica, 0) >= window:
            return None
        newest = [*included.items(), (self._replica, window)][-_MAX_REPLICAS:]
        now, state = self._bus.clock.now(), self._catalogue.get(model)
        digest = state.info.digest if state and state.info else None
        return ModelReported(
            id=ids.derive(sums.since, subjects.of_report(model), self._replica, str(window)),
            at=now,
            model=model,
            since=sums.since,
            calls=sums.calls,
            failures=dict(sums.failures),
            callers=sums.callers,
            uncounted=sums.uncounted,
            use_cases=dict(sums.use_cases),
            prompt_tokens=sums.prompt_tokens,
            output_tokens=sums.output_tokens,
            ttft_ms=sums.ttft_ms,
            output_tps=sums.output_tps,
            included=dict(newest),
            reported=fold(held.event.reported if held else None, sums, now, digest),
            watches=watch(held.event if held else None, sums, now, digest),
        )
