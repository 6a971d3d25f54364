"""Asking the items of a suite, one after the other, until its score is sure."""

from collections.abc import Awaitable, Callable, Iterator
from random import Random

import msgspec
from msgspec import Struct

from vedette.errors import NoSandbox, ProviderError
from vedette.providers import ENDPOINT_WIDE, Endpoint, Generation
from vedette.redaction import NO_SECRETS, Secrets
from vedette.settings import Evaluating
from vedette.types import Capability, ModelInfo, Outcome
from vedette_benchmarker import sandbox
from vedette_benchmarker.answered import Answered, whole
from vedette_benchmarker.grading import Graded, is_sure, miss
from vedette_benchmarker.suites import Item, Suite, VectorItem, Verdict
from vedette_benchmarker.suites.checks import program

THINKING_TOKENS = 1024  # room to think before each answer
_FAILURES_IN_A_ROW = 3
_WRONG_QUESTION = frozenset({Outcome.BAD_REQUEST, Outcome.UNSUPPORTED})

OnTrial = Callable[[Graded], Awaitable[None]]


class Spent(Struct):
    """What an evaluation has used so far; counted as it goes."""

    requests: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    failure: ProviderError | None = None  # why no more is asked


class Asker:
    """Asks one model; `spent` counts what that uses, and says why no more can be asked."""

    def __init__(
        self, endpoint: Endpoint, info: ModelInfo, settings: Evaluating, *, secrets: Secrets = NO_SECRETS
    ) -> None:
        self.spent = Spent()
        self._secrets = secrets
        self._endpoint = endpoint
        self._info = info
        self._settings = settings

    async def grade(self, suite: Suite, rng: Random, on_trial: OnTrial) -> Graded:
        """Ask items of *suite* until its score is sure, or the endpoint fails; *on_trial* is told before each."""
        items: Iterator[Item | VectorItem] = suite.items(rng)
        graded, failures = Graded(suite=suite), 0
        while not is_sure(graded.score, self._settings):
            item = next(items, None)
            if item is None:
                break  # a suite of one's own ends
            await on_trial(graded)
            try:
                graded = await self._ask(item, graded)
                failures = 0
            except ProviderError as error:
                self.spent.requests += 1
                if error.outcome in _WRONG_QUESTION:
                    break  # this server cannot be asked so: no score, and the next suite
                failures += 1
                if error.outcome in ENDPOINT_WIDE or failures == _FAILURES_IN_A_ROW:
                    self.spent.failure = error
                    break
        return graded

    async def _ask(self, item: Item | VectorItem, graded: Graded) -> Graded:
        """Ask one item and count its verdict. Raises ProviderError."""
        ask = self._embed(item) if isinstance(item, VectorItem) else self._generate(item)
        prompt, answer, verdict = await ask
        missed = () if verdict.correct else (miss(graded.suite, prompt, answer, verdict.why),)
        return msgspec.structs.replace(
            graded,
            successes=graded.successes + verdict.correct,
            trials=graded.trials + 1,
            misses=(*graded.misses, *missed),
        )

    async def _generate(self, item: Item) -> tuple[str, str, Verdict]:
        request = Generation(
            model=self._info.model.name,
            prompt=item.prompt,
            max_tokens=item.max_tokens + room_to_think(self._info),
            deadline_s=self._settings.timeout_s,
            tools=item.tools,
            schema=item.schema,
        )
        answered = whole([piece async for piece in self._endpoint.generate(request)], self._secrets)
        self.spent.requests += 1
        self.spent.prompt_tokens += answered.finished.prompt_tokens or 0
        self.spent.output_tokens += answered.output_tokens or 0
        verdict = item.check(answered)
        if verdict.correct and item.program_tests and self._settings.run_code:
            verdict = await _run(answered, item)
        return item.prompt, _shown(answered), verdict

    async def _embed(self, item: VectorItem) -> tuple[str, str, Verdict]:
        texts = list(item.texts)
        embedded = await self._endpoint.embed(
            self._info.model.name, texts, deadline_s=self._settings.timeout_s
        )
        self.spent.requests += 1
        self.spent.prompt_tokens += embedded.prompt_tokens or 0
        return "\n".join(texts), f"{embedded.dimensions} dimensions", item.check(embedded.values)


def room_to_think(info: ModelInfo) -> int:
    """Return how many tokens more an answer of *info* may take, for its thoughts."""
    thinks = info.capabilities.get(Capability.THINKING)
    return THINKING_TOKENS if thinks is not None and thinks.value else 0


def _shown(answered: Answered) -> str:
    called = [
        f"{call.name}({msgspec.json.encode(call.arguments).decode()})"
        for call in answered.finished.tool_calls
    ]
    return " ".join(filter(None, (answered.text.strip(), *called)))


async def _run(answered: Answered, item: Item) -> Verdict:
    """Return whether the program in an answer passes its tests; where none can be run, its shape has to do."""
    try:
        ran = await sandbox.run(program(answered.text), item.program_tests)
    except NoSandbox:
        return Verdict(correct=True)
    return Verdict(correct=ran.ok, why=ran.why)
