"""Agents that ask so many questions a second, whether answers come or not, in a process of their own.

    python -m faults.asking URL QUESTIONS_PER_S SECONDS FILE

What became of each stands in FILE at the end.
"""

import asyncio
import sys
import time
from pathlib import Path

import msgspec
from msgspec import Struct

from vedette.client import Client
from vedette.errors import VedetteError

_USE_CASES = ("chat", "code_generation", "summarisation")


class Question(Struct, frozen=True, kw_only=True):
    """A question that was asked: when, in seconds since 1970, how it was refused, if it was, and how long that took."""

    at: float
    refused: str
    took_s: float


async def ask(url: str, per_s: float, seconds: float) -> list[Question]:
    """Return what became of all questions."""
    asked: list[Question] = []

    async def one(client: Client, number: int) -> None:
        at, began = time.time(), time.monotonic()
        refused = ""
        try:
            await client.best(_USE_CASES[number % 3], min_context_tokens=1 + number % 997)
        except VedetteError as error:
            refused = str(error) or type(error).__name__
        asked.append(Question(at=at, refused=refused, took_s=time.monotonic() - began))

    async with Client(url) as client, asyncio.TaskGroup() as group:
        began = time.monotonic()
        for number in range(int(per_s * seconds)):
            await asyncio.sleep(began + number / per_s - time.monotonic())
            group.create_task(one(client, number))
    return asked


def main() -> None:
    """Ask, and write what became of it."""
    url, per_s, seconds, file = sys.argv[1:]
    Path(file).write_bytes(msgspec.json.encode(asyncio.run(ask(url, float(per_s), float(seconds)))))


if __name__ == "__main__":
    main()
