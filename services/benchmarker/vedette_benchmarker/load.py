"""The requests of a benchmark, and the figures of one run.

Runs follow each other. No run is retried. Each run first checks whether the model is loaded. Every prompt starts with
a nonce, because servers cache the prefixes of prompts, and a repeated prompt would measure that cache.
"""

from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from vedette.clock import Clock
from vedette.errors import ProviderError
from vedette.providers import ENDPOINT_WIDE, Activity, Delta, Embedded, Endpoint, Finished, Generation
from vedette.settings import Benchmarking
from vedette.text.figures import plural
from vedette.types import Kind, ModelInfo, Outcome, PromptLength, RunSample
from vedette_benchmarker.answered import thoughts_apart
from vedette_benchmarker.contention import other_work, others
from vedette_benchmarker.pacing import pace
from vedette_benchmarker.yielding import Turn, at_any_time

PROMPT_TOKENS: dict[PromptLength, int] = {"short": 100, "long": 1000}
EMBEDDED_TEXTS = 8
MIN_PROMPT_TOKENS = 8
MAX_DRIFT_S = 0.5  # clock difference during a run; NTP corrects 0.5 ms a second (ntp_adjtime(2))
# `text` with the tokenizer of SmolLM2-135M (llama.cpp, 2026-11): 97 and 978 tokens for 100 and 1,000.
TOKENS_PER_WORD = 1.12
# A template with a system prompt adds tokens to the estimate, and a vocabulary may split words more finely.
TEMPLATE_TOKENS = 64
FINEST_VOCABULARY = 1.5
# More tokens than this for the received characters means that hidden tokens were generated.
MAX_TOKENS_PER_CHARACTER = 2
UNSEEN_TOKENS = 64
# Limits for a server's figure (ms or tokens/s), which comes from outside.
PLAUSIBLE = (1e-3, 1e9)
_SMALL_RUNS = 2
CLOCK_STEPPED = "no figures: the clock stepped during the run"

OnStep = Callable[[int, int, str], Awaitable[None]]


class Run(Struct, frozen=True, kw_only=True):
    """One call: about `prompt_tokens` input tokens, at most `output_tokens` output tokens."""

    prompt: PromptLength
    prompt_tokens: int
    output_tokens: int
    deadline_s: float
    warm_up: bool = False

    def __str__(self) -> str:
        return "warm-up" if self.warm_up else f"{self.prompt} prompt"


def plan(info: ModelInfo, settings: Benchmarking) -> list[Run]:
    """Return the runs for a model: a warm-up, then `runs` of each prompt length that fits.

    Empty for a kind of model that cannot be called.
    """
    if info.asked_as not in _ASK:
        return []
    budget = _output_budget(info, settings)
    sizes = _prompt_sizes(info.context_tokens, budget)
    warm_up = Run(
        prompt="short",
        prompt_tokens=sizes["short"],
        output_tokens=budget,
        deadline_s=settings.first_run_timeout_s,
        warm_up=True,
    )
    measured = [
        Run(prompt=length, prompt_tokens=tokens, output_tokens=budget, deadline_s=settings.run_timeout_s)
        for length, tokens in sizes.items()
        for _ in range(settings.runs)
    ]
    return [warm_up, *measured]


def small(plan: Sequence[Run]) -> list[Run]:
    """Return the part of *plan* that shows whether a model changed: its warm-up, and two runs with a short prompt."""
    short = [run for run in plan if run.prompt == "short" and not run.warm_up]
    return [*(run for run in plan if run.warm_up), *short[:_SMALL_RUNS]]


def _output_budget(info: ModelInfo, settings: Benchmarking) -> int:
    """Return the number of output tokens: 0 for an embedding model, at most a quarter of a known context."""
    if info.kind == "embedding":
        return 0
    return min(settings.output_tokens, (info.context_tokens or 4 * settings.output_tokens) // 4)


def _prompt_sizes(context_tokens: int | None, output_tokens: int) -> dict[PromptLength, int]:
    """Return prompt lengths (tokens): always a short one, cut to fit; a long one only if it fits whole."""
    if context_tokens is None:
        return dict(PROMPT_TOKENS)
    room = int((context_tokens - output_tokens - TEMPLATE_TOKENS) / FINEST_VOCABULARY)
    sizes: dict[PromptLength, int] = {"short": max(MIN_PROMPT_TOKENS, min(PROMPT_TOKENS["short"], room))}
    if PROMPT_TOKENS["long"] <= room:
        sizes["long"] = PROMPT_TOKENS["long"]
    return sizes


async def measure(
    endpoint: Endpoint,
    info: ModelInfo,
    *,
    job_id: str,
    rng: Random,
    clock: Clock,
    plan: Sequence[Run],
    on_step: OnStep,
    turn: Turn = at_any_time,
    server_version: str | None = None,
) -> list[RunSample]:
    """Make the runs of *plan* one after another and return their samples, failures among them.

    `on_step(step, steps, message)` is awaited before each run, then *turn*. A warm-up is a sample only if the model
    was not loaded, or if it failed. A failed warm-up ends the job, because no later run would be warm. A failure of
    the whole endpoint ends it too, and counts as one failure, not as one for each remaining run.
    """
    bench = _Bench(
        endpoint=endpoint,
        info=info,
        rng=rng,
        clock=clock,
        turn=turn,
        stamp={"job_id": job_id, "digest": info.digest, "server_version": server_version},
    )
    samples = [] if plan else [bench.unsupported()]
    for step, run in enumerate(plan, start=1):
        await on_step(step, len(plan), str(run))
        sample = await bench.sample(run)
        failed = sample.outcome is not Outcome.OK
        if failed or sample.cold or not run.warm_up:
            samples.append(sample)
        if failed and (run.warm_up or sample.outcome in ENDPOINT_WIDE):
            break
    return samples


class _Bench(Struct, frozen=True, kw_only=True):
    """The common parts of all runs of one job; `stamp` has the fields of all its samples."""

    endpoint: Endpoint
    info: ModelInfo
    rng: Random
    clock: Clock
    turn: Turn
    stamp: dict[str, Any]

    def unsupported(self) -> RunSample:
        """Return the sample of a model that cannot be called."""
        detail = f"models of kind {self.info.kind} are not benchmarked"
        blank = RunSample(at=self.clock.now(), prompt="short", cold=False, **self.stamp)
        return msgspec.structs.replace(blank, outcome=Outcome.UNSUPPORTED, detail=detail)

    async def sample(self, run: Run) -> RunSample:
        """Make *run* and return its sample, without figures if the clock stepped or the machine slept during the run.

        In that case a broken connection is not a failure of the model.
        """
        await self.turn()
        cold = await self._is_cold()
        # Reading the metrics of a sleeping server could wake the model before its cold run.
        before = None if cold else await self._activity()
        blank = RunSample(at=self.clock.now(), prompt=run.prompt, cold=cold, **self.stamp)
        started = self.clock.monotonic()
        try:
            figures = await _ASK[self.info.asked_as](self, run)
        except ProviderError as error:
            if self._has_stepped(blank, started):
                return msgspec.structs.replace(blank, detail=CLOCK_STEPPED)
            return msgspec.structs.replace(
                blank,
                outcome=error.outcome,
                detail=error.detail[:2048],
                context_limit_tokens=error.context_tokens,
            )
        if self._has_stepped(blank, started):
            return msgspec.structs.replace(blank, detail=CLOCK_STEPPED)
        if not cold:
            figures.pop("load_ms", None)
        after = None if before is None else await self._activity()
        tokens = figures.get("output_tokens") or 0
        disturbed = other_work(before, after, model=self.info.model.name, own_tokens=tokens)
        return msgspec.structs.replace(blank, **figures, contended=disturbed, others=others(before, after))

    def _has_stepped(self, blank: RunSample, started: float) -> bool:
        passed = self.clock.monotonic() - started
        return abs((self.clock.now() - blank.at).total_seconds() - passed) > MAX_DRIFT_S

    async def _activity(self) -> Activity | None:
        try:
            return await self.endpoint.activity()
        except ProviderError:
            return None

    async def _is_cold(self) -> bool:
        """Return whether the model is known to be not loaded; False if unknown."""
        try:
            residency = await self.endpoint.resident()
        except ProviderError:
            return False
        if residency is None:
            return False
        held = residency.get(self.info.model.name)
        return held is None or not held.is_resident(self.clock.now())

    async def generate(self, run: Run) -> dict[str, Any]:
        """Stream one answer and return its figures. Raises ProviderError."""
        request = generation(self.info, run, self.rng)
        sent_at = self.clock.monotonic()
        items = [item async for item in self.endpoint.generate(request)]
        return answer_figures(sent_at, items)

    async def embed(self, run: Run) -> dict[str, Any]:
        """Embed texts in one call and return its figures. Raises ProviderError."""
        texts = [text(self.rng, run.prompt_tokens) for _ in range(EMBEDDED_TEXTS)]
        embedded = await self.endpoint.embed(self.info.model.name, texts, deadline_s=run.deadline_s)
        if embedded.vectors != len(texts):
            detail = f"{embedded.vectors} vectors for {len(texts)} texts"
            raise ProviderError(Outcome.GARBAGE, detail)
        return embedding_figures(embedded)


def generation(info: ModelInfo, run: Run, rng: Random) -> Generation:
    """Return the request of *run* to a model that generates. Its prompt is new each time."""
    chat = info.asked_as == "chat"
    return Generation(
        model=info.model.name,
        prompt=prompt(rng, run.prompt_tokens, chat=chat),
        max_tokens=run.output_tokens,
        chat=chat,
        deadline_s=run.deadline_s,
    )


# The function that calls each kind of model. Other kinds cannot be benchmarked.
_ASK: dict[Kind, Callable[[_Bench, Run], Awaitable[dict[str, Any]]]] = {
    "chat": _Bench.generate,
    "completion": _Bench.generate,
    "embedding": _Bench.embed,
}


def answer_figures(sent_at: float, items: Sequence[Delta | Finished]) -> dict[str, Any]:
    """Return the fields of RunSample from a stream of *items*, sent at *sent_at* (monotonic seconds).

    A figure without reliable times or tokens is left out. Raises ProviderError for a stream without its end.
    """
    deltas = thoughts_apart([item for item in items if isinstance(item, Delta)])
    finished = items[-1] if items else None
    if not isinstance(finished, Finished):
        raise ProviderError(Outcome.INCOMPLETE, "the stream broke off")
    tokens, estimated, contradiction = _tokens(finished, deltas)
    timed = _timed_figures(sent_at, deltas, finished, tokens)
    skipped = _skipped(finished.skipped) if finished.skipped else ""
    return {
        "prompt_tokens": _count(finished.prompt_tokens),
        "output_tokens": tokens,
        "estimated": estimated,
        "load_ms": _plausible(finished.load_ms),
        "server_output_tps": _plausible(finished.server_output_tps),
        "server_prompt_tps": _plausible(finished.server_prompt_tps),
        **timed,
        "detail": "; ".join(filter(None, (timed.get("detail"), contradiction, skipped))) or None,
    }


def _skipped(count: int) -> str:
    return f"{count} {plural(count, 'event of the stream was', 'events of the stream were')} not JSON"


def _tokens(finished: Finished, deltas: Sequence[Delta]) -> tuple[int, bool, str]:
    """Return the tokens of an answer, whether they were counted from pieces, and a contradiction to its usage."""
    counted, pieces = _count(finished.output_tokens), len(deltas)
    if not counted:
        return pieces, True, ""
    if 2 * counted < pieces:  # a token may be split into two pieces, not more
        return pieces, True, f"usage says {counted} {plural(counted, 'token')}, {pieces} pieces came"
    return counted, False, ""


def _timed_figures(
    sent_at: float, deltas: Sequence[Delta], finished: Finished, tokens: int
) -> dict[str, Any]:
    """Return the figures of an answer by the client's clock, or `detail` with the reason why there are none."""
    times = [delta.at for delta in deltas]
    if not times:
        return {"detail": "no figures: the answer was empty"}
    if any(after < before for before, after in pairwise([sent_at, *times, finished.at])):
        return {"detail": CLOCK_STEPPED}
    e2e = {"e2e_ms": _ms(finished.at - sent_at)}
    if not finished.streamed:
        return e2e | {"detail": "no TTFT and no tokens/s: the server did not stream"}
    content_at = next((delta.at for delta in deltas if delta.text), None)
    return e2e | {
        "ttft_ms": _ms(times[0] - sent_at),
        "ttfo_ms": None if content_at is None else _ms(content_at - sent_at),
        **_decode_figures(sent_at, deltas, finished, tokens),
    }


def _decode_figures(
    sent_at: float, deltas: Sequence[Delta], finished: Finished, tokens: int
) -> dict[str, Any]:
    """Return the rate of the tokens whose arrival was visible, or `detail` with the reason why there is none.

    Hidden reasoning came before the first piece, so it is not in the rate.
    """
    shows_thoughts = any(delta.thinking for delta in deltas)
    seen = tokens - (0 if shows_thoughts else finished.reasoning_tokens or 0)
    written = sum(len(delta.text) + len(delta.thinking) for delta in deltas)
    if seen > MAX_TOKENS_PER_CHARACTER * written + UNSEEN_TOKENS:
        return {
            "detail": f"no tokens/s: usage says {seen} tokens, {written} {plural(written, 'character')} came"
        }
    found = pace(sent_at, deltas, seen)
    return {
        "output_tps": found.output_tps,
        "itl_p50_ms": found.gap_ms(0.5),
        "itl_p95_ms": found.gap_ms(0.95),
        "buffered": bool(found.problem),
        "detail": found.problem or None,
    }


def embedding_figures(embedded: Embedded) -> dict[str, Any]:
    """Return the fields of RunSample from one embedding call; tokens/s only with the server's count."""
    took_s = embedded.done_at - embedded.sent_at
    tokens = _count(embedded.prompt_tokens)
    figures = {"prompt_tokens": tokens, "load_ms": _plausible(embedded.load_ms)}
    if took_s <= 0:
        return figures | {"detail": CLOCK_STEPPED}
    return figures | {
        "e2e_ms": _ms(took_s),
        "texts_per_s": round(embedded.vectors / took_s, 3),
        "embedding_tps": round(tokens / took_s, 3) if tokens else None,
    }


def _ms(seconds: float) -> float:
    """Return *seconds* in milliseconds, rounded to the microsecond."""
    return round(seconds * 1000, 3)


def _count(tokens: int | None) -> int | None:
    """Return a server's token count, or None if it is impossible."""
    return tokens if tokens is not None and 0 <= tokens < 2**32 else None


def _plausible(value: float | None) -> float | None:
    """Return a server's figure (ms or tokens/s), or None if it is impossible."""
    low, high = PLAUSIBLE
    return round(value, 3) if value is not None and low <= value <= high else None


def prompt(rng: Random, tokens: int, *, chat: bool) -> str:
    """Return a prompt of about *tokens* tokens that asks for a long continuation."""
    if not chat:
        return text(rng, tokens)
    return f"{text(rng, tokens - _TASK_TOKENS)}\n\n{_TASK}"


def text(rng: Random, tokens: int) -> str:
    """Return plain English text of about *tokens* tokens, with a nonce of 64 bits at its start."""
    words = [f"{rng.getrandbits(64):016x}"]
    wanted = max(1, int((tokens - _NONCE_TOKENS) / TOKENS_PER_WORD))
    while len(words) <= wanted:
        words += _sentence(rng).split()
    return " ".join(words[: wanted + 1])


def _sentence(rng: Random) -> str:
    return rng.choice(_SENTENCES).format_map({kind: rng.choice(words) for kind, words in _WORDS.items()})


_TASK = "Continue this story with many more sentences. Do not stop early."
_TASK_TOKENS = 15
_NONCE_TOKENS = 14

_SENTENCES = (
    "The {quality} {person} {deed} the {thing} near the {place}.",
    "In the {time}, a {person} {deed} every {thing} from the {place}.",
    "Nobody at the {place} knew why the {person} {deed} the {quality} {thing}.",
    "After that {time}, the {place} looked {quality} and the {person} went home.",
    "A {quality} {thing} lay in the {place} until the {person} {deed} it.",
)
_WORDS = {
    "quality": ("old", "quiet", "bright", "heavy", "small", "green", "broken", "strange", "warm", "plain"),
    "person": (
        "farmer",
        "sailor",
        "teacher",
        "child",
        "doctor",
        "baker",
        "guard",
        "singer",
        "king",
        "writer",
    ),
    "deed": ("found", "carried", "sold", "painted", "lost", "watched", "opened", "kept", "moved", "cleaned"),
    "thing": ("box", "letter", "lamp", "boat", "chair", "book", "stone", "map", "clock", "coat"),
    "place": (
        "river",
        "market",
        "school",
        "forest",
        "harbour",
        "station",
        "garden",
        "bridge",
        "tower",
        "field",
    ),
    "time": ("morning", "winter", "summer", "evening", "storm", "night", "autumn", "spring", "week", "year"),
}
