"""What an exception in the body of a call says of the model: only those of the libraries that call it say anything."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import openai
import pytest
from openai import AsyncOpenAI

from vedette.client import failures
from vedette.types import Outcome

HERE = "http://h:1/v1"
REQUEST = httpx.Request("POST", f"{HERE}/chat/completions")
NOWHERE = "http://127.0.0.1:1"


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (openai.APITimeoutError(REQUEST), Outcome.TIMEOUT),
        (openai.APIConnectionError(request=REQUEST), Outcome.UNREACHABLE),
        (openai.APIError("broken off", REQUEST, body=None), Outcome.SERVER_ERROR),
        (openai.APIResponseValidationError(httpx.Response(200, request=REQUEST), None), Outcome.GARBAGE),
        (
            openai.RateLimitError("", response=httpx.Response(429, request=REQUEST), body=None),
            Outcome.RATE_LIMITED,
        ),
        (httpx.ReadTimeout("late"), Outcome.TIMEOUT),
        (httpx.ReadError("gone"), Outcome.RESET),
        (httpx.ConnectError("no"), Outcome.UNREACHABLE),
        (
            httpx.HTTPStatusError("", request=REQUEST, response=httpx.Response(503, request=REQUEST)),
            Outcome.BUSY,
        ),
    ],
)
def test_exceptions_of_every_library_have_a_class(error: Exception, outcome: Outcome) -> None:
    assert failures.outcome_of(error, HERE) is outcome


def test_exceptions_of_pydantic_ai_have_a_class() -> None:
    # Long to import, and used by this test alone.
    from pydantic_ai.exceptions import ModelHTTPError, UnexpectedModelBehavior, UserError

    assert failures.outcome_of(ModelHTTPError(500, "m"), HERE) is Outcome.SERVER_ERROR
    assert failures.outcome_of(UnexpectedModelBehavior("nonsense"), HERE) is Outcome.GARBAGE
    assert failures.outcome_of(UserError("wrong use"), HERE) is None


class WebError(Exception):
    """What a caller's own web framework raises."""

    status_code = 503


def _without(error: BaseException, _: str | None = None) -> Outcome | None:
    """Return what the names of classes alone say, as it was before."""
    names = {kind.__name__ for kind in type(error).__mro__}
    for outcome, known in (
        (Outcome.TIMEOUT, {"TimeoutError"}),
        (Outcome.UNREACHABLE, {"OSError"}),
        (Outcome.GARBAGE, {"JSONDecodeError"}),
        (Outcome.BUSY, {"WebError"}),
        (Outcome.RESET, {"ConnectError"}),
    ):
        if names & known:
            return outcome
    return None


async def missing_file() -> None:
    await asyncio.to_thread(Path("/no/such/file").read_text)


async def other_json() -> None:
    json.loads("{")


async def own_deadline() -> None:
    async with asyncio.timeout(0):
        await asyncio.Event().wait()


async def other_server() -> None:
    async with httpx.AsyncClient() as client:
        await client.get(NOWHERE)


async def refused_database() -> None:
    await asyncio.open_connection("127.0.0.1", 1)


async def web_error() -> None:
    raise WebError


@pytest.mark.parametrize(
    "body", [missing_file, other_json, own_deadline, other_server, refused_database, web_error]
)
@pytest.mark.fault(
    "an agent's own code fails next to its call",
    "I13",
    without=("vedette.client.failures:outcome_of", _without),
)
async def test_the_callers_own_failures_say_nothing_of_the_model(body: Callable[[], Awaitable[None]]) -> None:
    """A file, JSON, a deadline, another server, a database, an exception that looks like a server's."""
    with pytest.raises(Exception) as caught:
        await body()
    assert failures.outcome_of(caught.value, HERE) is None


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x"),
        KeyError("x"),
        AssertionError(),
        PermissionError(),
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        httpx.PoolTimeout("no connection left"),
        openai.OpenAIError("no key"),
    ],
)
def test_bugs_and_endings_say_nothing_of_the_model(error: BaseException) -> None:
    assert failures.outcome_of(error, HERE) is None


@pytest.mark.parametrize("deadline", ["timeout", "wait_for"])
async def test_a_deadline_around_the_call_is_the_models_timeout(deadline: str) -> None:
    """Of `asyncio.timeout` and of `asyncio.wait_for`: what was cancelled was waiting for the server."""
    with socket.create_server(("127.0.0.1", 0)) as never_accepts:
        url = f"http://127.0.0.1:{never_accepts.getsockname()[1]}/v1"

        async def ask() -> None:
            async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
                asked = client.chat.completions.create(model="m", messages=[])
                if deadline == "wait_for":
                    await asyncio.wait_for(asked, 0.2)
                else:
                    async with asyncio.timeout(0.2):
                        await asked

        with pytest.raises(TimeoutError) as caught:
            await ask()
    assert failures.outcome_of(caught.value, url) is Outcome.TIMEOUT


async def test_the_server_that_was_recommended_is_told_from_others() -> None:
    """By the URL of the request that failed."""
    async with AsyncOpenAI(base_url=f"{NOWHERE}/v1", api_key="none", max_retries=0) as client:
        with pytest.raises(openai.APIConnectionError) as caught:
            await client.models.list()
    assert failures.outcome_of(caught.value, f"{NOWHERE}/v1") is Outcome.UNREACHABLE
    assert failures.outcome_of(caught.value, HERE) is None


def test_no_library_needs_to_be_installed() -> None:
    """Calls are classified where none of them can be imported."""
    program = """
import sys
for name in ("openai", "httpx", "aiohttp", "litellm", "pydantic_ai", "requests"):
    sys.modules[name] = None
import urllib.request
from vedette.client.fallback import calls
from vedette.client.failures import outcome_of
try:
    urllib.request.urlopen("http://127.0.0.1:1", timeout=5)
except OSError as error:
    print(outcome_of(error))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout == "unreachable\n"
