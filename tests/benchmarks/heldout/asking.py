"""Ask a model all tasks at temperature 0 and grade its answers. What was asked is not asked again."""

import asyncio
import json
import re
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct

from benchmarks.heldout.tasks import Search, Task
from benchmarks.running import say
from vedette.settings import EndpointSettings
from vedette_benchmarker import sandbox

_TIMEOUT_S = 600.0


class Answer(Struct, frozen=True):
    """What a model answered to a prompt. At temperature 0 it answers the same again."""

    prompt: str
    text: str


async def answers(
    settings: EndpointSettings, model: str, tasks: Iterable[Task], file: Path
) -> dict[str, str]:
    """Return the answers of *model* by prompt; *file* keeps them, so that a run can go on where it was stopped."""
    known = {one.prompt: one.text for one in _kept(file)}
    wanted = [task for task in tasks if task.prompt not in known]
    for done, task in enumerate(wanted):
        text = await asyncio.to_thread(_answer, settings.url, model, task)
        known[task.prompt] = text
        with file.open("ab") as out:
            out.write(msgspec.json.encode(Answer(task.prompt, text)) + b"\n")
        if done % 20 == 0:
            say(f"{model}: {done} of {len(wanted)}")
    return known


def _kept(file: Path) -> list[Answer]:
    lines = file.read_bytes().splitlines() if file.exists() else []
    return [msgspec.json.decode(line, type=Answer) for line in lines]


def _answer(url: str, model: str, task: Task) -> str:
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": task.prompt}],
        "temperature": 0,
        "max_tokens": task.max_tokens,
    }
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:
        text = json.load(reply)["choices"][0]["message"]["content"]
    return str(text or "")


async def found(url: str, model: str, searches: Iterable[Search]) -> list[bool]:
    """Return for each search whether *model* embeds the right text nearest to the query, by the cosine."""
    return [await asyncio.to_thread(_finds, url, model, search) for search in searches]


def _finds(url: str, model: str, search: Search) -> bool:
    body = {"model": model, "input": [search.query, *search.texts]}
    request = urllib.request.Request(
        f"{url}/v1/embeddings", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:
        told = sorted(json.load(reply)["data"], key=lambda one: int(one["index"]))
    vectors = np.array([one["embedding"] for one in told])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return int(np.argmax(vectors[1:] @ vectors[0])) == search.place


async def right(task: Task, answer: str) -> bool:
    """Return whether *answer* is right; a program is run in the sandbox."""
    if task.right is not None:
        return task.right(answer)
    return (await sandbox.run(program(answer, task.defines), task.tests)).ok


def program(answer: str, name: str) -> str:
    """Return the program in *answer*: of the first fence that defines *name*, else from its definition on."""
    for block in re.findall(r"```(?:python|py)?\n(.*?)(?:```|$)", answer, re.DOTALL):
        if f"def {name}" in block:
            return _whole(block)
    start = answer.find(f"def {name}")
    return _whole(answer[start:]) if start >= 0 else ""


def _whole(source: str) -> str:
    """Return *source* without what follows it and is no code: its last lines, until Python can read the rest."""
    lines = source.split("\n")
    while lines:
        try:
            compile("\n".join(lines), "answer", "exec")
        except (SyntaxError, ValueError):
            lines.pop()
        else:
            break
    return "\n".join(lines)
