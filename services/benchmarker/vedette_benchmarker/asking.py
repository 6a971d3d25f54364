"""Sends the items of a suite to a model, one after the other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from itertools import islice
from random import Random
from typing import TypeVar

import msgspec
from msgspec import Struct

from vedette.endpoints.budget import cost
from vedette.errors import NoSandbox, NotGraded, ProviderError
from vedette.providers import ENDPOINT_WIDE, Delta, Endpoint, Finished, Generation
from vedette.providers.redaction import NO_SECRETS, Secrets
from vedette.settings import EndpointSettings, Evaluating
from vedette.types import ModelInfo, Outcome, Thoughts, Use
from vedette_benchmarker import sandbox
from vedette_benchmarker.answered import Answered, whole
from vedette_benchmarker.grader import Answer, Given, Grading, asked
from vedette_benchmarker.grading import Graded, is_done, miss
from vedette_benchmarker.suites import Item, Suite, VectorItem, Verdict, estimated_tokens

T = TypeVar("T")

TRIAL = ("def one():\n    return 1\n", ("assert one() == 1",))  # whether the sandbox holds here
THINKING_TOKENS = 1024  # for reasoning, in addition to the answer
_FAILURES_IN_A_ROW = 3
_UNGRADED_IN_A_ROW = 3
_WRONG_QUESTION = frozenset({Outcome.BAD_REQUEST, Outcome.UNSUPPORTED})

_RATE_LIMIT_WAITS = 3
_MAX_WAIT_S = 60.0

OnTrial = Callable[[Graded], Awaitable[None]]
Pause = Callable[[float], Awaitable[None]]
Run = Callable[[str, Sequence[str]], Awaitable[sandbox.Ran]]  # runs a program's tests; raises NoSandbox


class Spent(Struct):
    """The usage of an evaluation so far."""

    requests: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    thoughts: Thoughts = Thoughts(answers=0, tokens=0)  # before its answers
    failure: ProviderError | None = None  # why no more questions are sent
    over_usd: float | None = None  # the limit that the next question could have exceeded

    def at(self, endpoint: EndpointSettings, info: ModelInfo) -> Use:
        """Return this as usage of *endpoint*; the cost follows from the price of the model *info*."""
        return cost(
            endpoint,
            info,
            requests=self.requests,
            prompt_tokens=self.prompt_tokens,
            output_tokens=self.output_tokens,
        )


class Asker:
    """Sends questions to one model. `spent` has the usage, and the reason why no more questions are possible."""

    def __init__(
        self,
        endpoint: Endpoint,
        info: ModelInfo,
        settings: Evaluating,
        grader: Grading,
        *,
        secrets: Secrets = NO_SECRETS,
        run: Run = sandbox.run,
        max_usd: float | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self.spent = Spent()
        self._secrets = secrets
        self._endpoint = endpoint
        self._info = info
        self._settings = settings
        self._grader = grader
        self._run = run
        self._max_usd = max_usd
        self._pause = pause
        self._room = room_to_think(info)
        self._estimated = 0  # estimated prompt tokens of the questions so far
        self._unrun: str | None = None  # why programs are not run; None: not tried yet

    async def grade(
        self, suite: Suite, seed: str, on_trial: OnTrial, *, start: int = 0, count: int | None = None
    ) -> Graded:
        """Ask *count* items of *suite* from place *start* on; call *on_trial* before each.

        It ends early if the endpoint fails, after three answers in a row that cannot be graded, and before a question
        that could exceed the limit in USD.
        """
        items: Iterator[Item | VectorItem] = suite.items(Random(seed))  # noqa: S311
        graded, failures, ungraded = Graded(suite=suite), 0, 0
        programs = False
        wanted = self._settings.items if count is None else count
        for place, item in enumerate(islice(items, start, None), start):  # an operator's suite has an end
            if is_done(graded, wanted) or ungraded == _UNGRADED_IN_A_ROW:
                break
            if self._is_too_costly(item):
                self.spent.over_usd = self._max_usd
                break
            await on_trial(graded)
            if isinstance(item, Item) and item.program_tests and not programs:
                graded = msgspec.structs.replace(graded, unrun=await self._why_unrun())
                programs = True
            before = graded.ungraded
            try:
                graded = await self._ask(item, graded, seed, place)
                failures, ungraded = 0, ungraded + 1 if graded.ungraded > before else 0
            except ProviderError as error:
                self.spent.requests += 1
                if error.outcome in _WRONG_QUESTION:
                    break  # the server cannot take such a question: no score, next suite
                failures += 1
                if error.outcome in ENDPOINT_WIDE or failures == _FAILURES_IN_A_ROW:
                    self.spent.failure = error
                    break
        return graded

    async def answer(self, item: Item) -> Answered | None:
        """Return the ungraded answer to *item*; None if it could exceed the limit in USD. Raises ProviderError."""
        if self._is_too_costly(item):
            self.spent.over_usd = self._max_usd
            return None
        try:
            answered = await self._generate(item)
        except ProviderError:
            self.spent.requests += 1
            raise
        self._estimated += _estimated(item)
        return answered

    def _is_too_costly(self, item: Item | VectorItem) -> bool:
        """Return whether *item* could exceed the cost limit if its answer has the maximum length."""
        price = self._info.price
        if self._max_usd is None or price is None:
            return False
        answer = item.max_tokens + max(self._room, THINKING_TOKENS) if isinstance(item, Item) else 0
        # The service may count more tokens than the estimate: assume the same factor as so far.
        counted_more = max(1.0, self.spent.prompt_tokens / self._estimated if self._estimated else 1.0)
        prompt = _estimated(item) * counted_more
        tokens_in, tokens_out = self.spent.prompt_tokens + prompt, self.spent.output_tokens + answer
        return price.usd(tokens_in, tokens_out) > self._max_usd

    async def _ask(self, item: Item | VectorItem, graded: Graded, seed: str, place: int) -> Graded:
        """Ask one item; return *graded* with its verdict. Raises ProviderError."""
        answer = await (self._embed(item) if isinstance(item, VectorItem) else self._generate(item))
        self._estimated += _estimated(item)
        prompt = asked(item)
        if isinstance(answer, Answered) and answer.is_refused:
            why = f"the service refused to answer ({answer.finished.reason})"
            return msgspec.structs.replace(graded, ungraded=graded.ungraded + 1, why_ungraded=why)
        given = Given(suite=graded.suite.name, seed=seed, place=place, prompt=prompt, answer=answer)
        try:
            verdict = await self._verdict(item, given)
        except (NotGraded, NoSandbox) as error:
            return msgspec.structs.replace(graded, ungraded=graded.ungraded + 1, why_ungraded=str(error))
        missed = () if verdict.correct else (miss(graded.suite, prompt, _shown(answer), verdict.why),)
        return msgspec.structs.replace(
            graded,
            successes=graded.successes + verdict.correct,
            trials=graded.trials + 1,
            misses=(*graded.misses, *missed),
        )

    async def _verdict(self, item: Item | VectorItem, given: Given) -> Verdict:
        """Return whether an answer is right: by running its program if there is one, else by its text.

        Raises NotGraded and NoSandbox.
        """
        verdict = await self._grader.verdict(given)
        if not (isinstance(item, Item) and item.program_tests and verdict.program) or await self._why_unrun():
            return verdict
        ran = await self._run(verdict.program, item.program_tests)
        return Verdict(correct=ran.ok, why=ran.why)

    async def _why_unrun(self) -> str:
        """Return why programs are not run here; empty if they are. The sandbox is tested once."""
        if self._unrun is None:
            self._unrun = await self._why_no_sandbox() if self._settings.run_code else "run_code is false"
        return self._unrun

    async def _why_no_sandbox(self) -> str:
        try:
            await self._run(*TRIAL)
        except NoSandbox as error:
            return str(error)
        return ""

    async def _generate(self, item: Item) -> Answered:
        """Return the answer. If it was cut off before any text, ask again with room for reasoning."""
        answered = await self._generate_once(item)
        if answered.thought_tokens and not self._room:
            self._room = THINKING_TOKENS
            if answered.finished.reason == "length" and not self._is_too_costly(item):
                answered = await self._generate_once(item)
        self.spent.thoughts += Thoughts(answers=1, tokens=answered.thought_tokens)
        return answered

    async def _generate_once(self, item: Item) -> Answered:
        request = Generation(
            model=self._info.model.name,
            prompt=item.prompt,
            max_tokens=item.max_tokens + self._room,
            deadline_s=self._settings.timeout_s,
            tools=item.tools,
            schema=item.schema,
        )
        pieces = await self._patient(lambda: _all(self._endpoint.generate(request)))
        answered = whole(pieces, self._secrets)
        self.spent.requests += 1
        self.spent.prompt_tokens += answered.finished.prompt_tokens or 0
        self.spent.output_tokens += answered.output_tokens or 0
        return answered

    async def _patient(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return the result of *call*. After a rate limit, wait as long as the service says, and call again."""
        for turn in range(_RATE_LIMIT_WAITS):
            try:
                return await call()
            except ProviderError as error:
                wait_s = error.retry_after_s if error.retry_after_s is not None else 5.0 * 2**turn
                if error.outcome is not Outcome.RATE_LIMITED or wait_s > _MAX_WAIT_S:
                    raise
                self.spent.requests += 1
                await self._pause(wait_s)
        return await call()

    async def _embed(self, item: VectorItem) -> Sequence[Sequence[float]]:
        texts = list(item.texts)
        name, deadline_s = self._info.model.name, self._settings.timeout_s
        embedded = await self._patient(lambda: self._endpoint.embed(name, texts, deadline_s=deadline_s))
        self.spent.requests += 1
        self.spent.prompt_tokens += embedded.prompt_tokens or 0
        return embedded.values


def _estimated(item: Item | VectorItem) -> int:
    return item.prompt_tokens if isinstance(item, Item) else sum(map(estimated_tokens, item.texts))


async def _all(pieces: AsyncIterator[Delta | Finished]) -> list[Delta | Finished]:
    return [piece async for piece in pieces]


def room_to_think(info: ModelInfo) -> int:
    """Return the number of extra tokens for reasoning that an answer of *info* may take."""
    return THINKING_TOKENS if info.thinks else 0


def _shown(answer: Answer) -> str:
    if not isinstance(answer, Answered):
        return f"{len(answer[0]) if answer else 0} dimensions"
    called = [
        f"{call.name}({msgspec.json.encode(call.arguments).decode()})" for call in answer.finished.tool_calls
    ]
    return " ".join(filter(None, (answer.text.strip(), *called)))
