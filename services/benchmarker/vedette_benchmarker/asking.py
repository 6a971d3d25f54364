"""Asking the items of a suite, one after the other, until its score is sure."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from random import Random

import msgspec
from msgspec import Struct

from vedette.errors import NoSandbox, NotGraded, ProviderError
from vedette.providers import ENDPOINT_WIDE, Endpoint, Generation
from vedette.providers.redaction import NO_SECRETS, Secrets
from vedette.settings import Evaluating
from vedette.types import Capability, ModelInfo, Outcome
from vedette_benchmarker import sandbox
from vedette_benchmarker.answered import Answered, whole
from vedette_benchmarker.grader import Answer, Given, Grading, asked
from vedette_benchmarker.grading import Graded, is_sure, miss
from vedette_benchmarker.suites import Item, Suite, VectorItem, Verdict

TRIAL = ("def one():\n    return 1\n", ("assert one() == 1",))  # whether the sandbox holds here
THINKING_TOKENS = 1024  # room to think before each answer
_FAILURES_IN_A_ROW = 3
_UNGRADED_IN_A_ROW = 3
_WRONG_QUESTION = frozenset({Outcome.BAD_REQUEST, Outcome.UNSUPPORTED})

OnTrial = Callable[[Graded], Awaitable[None]]
Run = Callable[[str, Sequence[str]], Awaitable[sandbox.Ran]]  # has a program pass its tests. Raises NoSandbox


class Spent(Struct):
    """What an evaluation has used so far; counted as it goes."""

    requests: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    failure: ProviderError | None = None  # why no more is asked


class Asker:
    """Asks one model; `spent` counts what that uses, and says why no more can be asked."""

    def __init__(
        self,
        endpoint: Endpoint,
        info: ModelInfo,
        settings: Evaluating,
        grader: Grading,
        *,
        secrets: Secrets = NO_SECRETS,
        run: Run = sandbox.run,
    ) -> None:
        self.spent = Spent()
        self._secrets = secrets
        self._endpoint = endpoint
        self._info = info
        self._settings = settings
        self._grader = grader
        self._run = run
        self._unrun: str | None = None  # why programs are not run; None: not tried yet

    async def grade(self, suite: Suite, seed: str, on_trial: OnTrial) -> Graded:
        """Ask items of *suite* until its score is sure, or the endpoint fails; *on_trial* is called before each.

        Three answers in a row that cannot be graded end it too.
        """
        items: Iterator[Item | VectorItem] = suite.items(Random(seed))  # noqa: S311
        graded, failures, ungraded = Graded(suite=suite), 0, 0
        programs = False
        for place, item in enumerate(items):  # a suite of one's own ends
            if is_sure(graded, self._settings) or ungraded == _UNGRADED_IN_A_ROW:
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
                    break  # this server cannot be asked so: no score, and the next suite
                failures += 1
                if error.outcome in ENDPOINT_WIDE or failures == _FAILURES_IN_A_ROW:
                    self.spent.failure = error
                    break
        return graded

    async def _ask(self, item: Item | VectorItem, graded: Graded, seed: str, place: int) -> Graded:
        """Ask one item and count its verdict. Raises ProviderError."""
        answer = await (self._embed(item) if isinstance(item, VectorItem) else self._generate(item))
        prompt = asked(item)
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
        """Return whether an answer is right: by what its program does, else by its text.

        Raises NotGraded and NoSandbox.
        """
        verdict = await self._grader.verdict(given)
        if not (isinstance(item, Item) and item.program_tests and verdict.program) or await self._why_unrun():
            return verdict
        ran = await self._run(verdict.program, item.program_tests)
        return Verdict(correct=ran.ok, why=ran.why)

    async def _why_unrun(self) -> str:
        """Return why programs are not run here, or nothing where they are. The sandbox is tried once."""
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
        return answered

    async def _embed(self, item: VectorItem) -> Sequence[Sequence[float]]:
        texts = list(item.texts)
        embedded = await self._endpoint.embed(
            self._info.model.name, texts, deadline_s=self._settings.timeout_s
        )
        self.spent.requests += 1
        self.spent.prompt_tokens += embedded.prompt_tokens or 0
        return embedded.values


def room_to_think(info: ModelInfo) -> int:
    """Return how many tokens more an answer of *info* may take, for its thoughts."""
    thinks = info.capabilities.get(Capability.THINKING)
    return THINKING_TOKENS if thinks is not None and thinks.value else 0


def _shown(answer: Answer) -> str:
    if not isinstance(answer, Answered):
        return f"{len(answer[0]) if answer else 0} dimensions"
    called = [
        f"{call.name}({msgspec.json.encode(call.arguments).decode()})" for call in answer.finished.tool_calls
    ]
    return " ".join(filter(None, (answer.text.strip(), *called)))
