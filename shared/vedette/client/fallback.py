"""From a recommendation to a call: its URL, model and key, the next model after a failure, and a report of the outcome.

    async with Client() as vedette:
        async for call in calls(vedette, "chat", min_context_tokens=8192):
            async with call:
                reply = await call.openai().chat.completions.create(model=call.name, messages=messages)
                call.used(reply.usage)

The body runs for the best model. If the call fails, whatever its outcome, the body runs for the next fallback. An
exception that does not come from the call is raised at once, and nothing is reported. Any client of an
OpenAI-compatible server can be used: for `openai`, `litellm` and `pydantic_ai`, install only the library itself.
"""

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Self, Unpack

import nats.errors

from vedette.client import Client, Wanted
from vedette.client.failures import outcome_of
from vedette.errors import BusError, NoCandidate, NotRunning, RequestError
from vedette.messages.queries import Recommendation
from vedette.settings import Secret
from vedette.types import ModelRef, Outcome

# The key for servers that need none: OpenAI clients do not start without one.
NO_KEY: Final = "none"


class Call:
    """One attempt to call a recommended model. Enter it around the call; it reports the outcome.

    `outcome` is None until the call has ended, and after an exception that does not come from the call.
    """

    def __init__(
        self,
        client: Client,
        recommendation: Recommendation,
        *,
        use_case: str,
        last: bool = True,
        caller: str | None = None,
    ) -> None:
        self.recommendation = recommendation
        self.outcome: Outcome | None = None
        self._client = client
        self._use_case = use_case
        self._last = last
        self._caller = caller
        self._began = 0.0
        self._first: float | None = None
        self._tokens: dict[str, int] = {}
        self._opened: list[Any] = []  # clients, which keep their connections until they are closed

    @property
    def model(self) -> ModelRef:
        """Which model is called, and where."""
        return self.recommendation.model

    @property
    def name(self) -> str:
        """The model's name, as its server knows it."""
        return self.recommendation.model.name

    @property
    def base_url(self) -> str:
        """The base URL for OpenAI clients; empty if they cannot call this model."""
        return self.recommendation.base_url or ""

    @property
    def api_key(self) -> str:
        """The key, from the variable or file that the recommendation names. Raises ConfigurationError."""
        reference = self.recommendation.key_ref
        if reference is None:
            return NO_KEY
        kind, _, place = reference.partition(":")
        return Secret(**{kind: place}).read(f"the key of {self.model.endpoint}")

    def first_token(self) -> None:
        """Note that the first token has arrived, so that the report has its time. Only calls that stream need this."""
        if self._first is None:
            self._first = time.perf_counter()

    def used(self, usage: object = None, *, prompt: int | None = None, output: int | None = None) -> None:
        """Note the tokens of the call: from the server's *usage*, or *prompt* and *output*, which take priority."""
        counts = {
            "prompt_tokens": _first_of(usage, "prompt_tokens", "input_tokens") if prompt is None else prompt,
            "output_tokens": _first_of(usage, "completion_tokens", "output_tokens")
            if output is None
            else output,
        }
        self._tokens |= {name: number for name, number in counts.items() if number}

    async def __aenter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.outcome = Outcome.OK if error is None else outcome_of(error, self.base_url)
        for client in self._opened:
            await client.close()
        if self.outcome is not None:
            await self._report(self.outcome)
        return self.outcome not in (None, Outcome.OK) and not self._last

    async def _report(self, outcome: Outcome) -> None:
        ended = time.perf_counter()
        times = {"e2e_ms": (ended - self._began) * 1000}
        if self._first is not None:
            times["ttft_ms"] = (self._first - self._began) * 1000
        # A failed report must not fail the call.
        with suppress(RequestError, BusError, NotRunning, nats.errors.Error):
            await self._client.report(
                self.model,
                outcome,
                use_case=self._use_case,
                caller=self._caller,
                **(times if outcome is Outcome.OK else {}),  # type: ignore[arg-type]
                **self._tokens,
            )

    # What agents call with ------------------------------------------------------------------------------------

    def openai(self, **options: Any) -> Any:
        """Return an `openai.AsyncOpenAI` for the model's server, with *options*. It is closed when the call ends.

        By default it does not retry: the next attempt is a call of the next model.
        """
        from openai import AsyncOpenAI

        client = AsyncOpenAI(base_url=self.base_url, api_key=self.api_key, **{"max_retries": 0} | options)
        self._opened.append(client)
        return client

    def litellm(self) -> dict[str, Any]:
        """Return the arguments of `litellm.acompletion`, without the messages."""
        return {
            "model": f"openai/{self.name}",
            "api_base": self.base_url,
            "api_key": self.api_key,
            "num_retries": 0,
        }

    def pydantic_ai(self) -> Any:
        """Return a model for `pydantic_ai.Agent`."""
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        return OpenAIChatModel(self.name, provider=OpenAIProvider(openai_client=self.openai()))


async def calls(client: Client, use_case: str, **wanted: Unpack[Wanted]) -> AsyncIterator[Call]:
    """Yield a call of the best model for *use_case*, then of each fallback, until one succeeds.

    If the last one fails, its error leaves its `async with`. Only models that OpenAI clients can call are tried.
    Raises NoCandidate if there are none, and the errors of `Client.best`.
    """
    reply = await client.best(use_case, **wanted)
    shown = [one for one in (reply.recommendation, *reply.fallbacks) if one is not None]
    choices = [one for one in shown if one.base_url is not None]
    if not choices:
        raise NoCandidate(use_case=use_case, problem=_why(shown, reply.relax))
    for choice in choices:
        call = Call(
            client, choice, use_case=use_case, last=choice is choices[-1], caller=wanted.get("caller")
        )
        yield call
        if call.outcome in (None, Outcome.OK):
            return


def _why(shown: list[Recommendation], relax: Any) -> str:
    if shown:
        return f"{shown[0].model} has no URL for OpenAI clients"
    return f"relax {relax.constraint}, and {relax.model} fits" if relax else "none is known yet"


def _first_of(usage: object, *names: str) -> int | None:
    for name in names:
        value = usage.get(name) if isinstance(usage, dict) else getattr(usage, name, None)
        if isinstance(value, int):
            return value
    return None
