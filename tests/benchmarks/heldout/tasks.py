"""60 tasks of each of seven use cases, from very easy to hard, each with its own checker. No suite has any of them.

The checkers are lenient: what stands around a right answer does not matter. Programs are judged by running them.
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

Right = Callable[[str], bool]
PER_USE_CASE: Final = 60


class _Function(Struct, frozen=True):
    signature: str
    does: str
    tests: tuple[str, ...]  # `(arguments) == result`
    body: str  # of a right program


class _Note(Struct, frozen=True):
    text: str
    asked: tuple[tuple[str, tuple[str, ...]], ...]  # a question, and what a right answer names
    queries: tuple[str, ...]  # for which it is the nearest of all notes


class _Report(Struct, frozen=True):
    """A text, and words for what it is about and for what came of it: a summary has one of each."""

    text: str
    subjects: tuple[str, ...]
    outcomes: tuple[str, ...]
    queries: tuple[str, ...]  # for which it is the nearest of all reports


class _Undocumented(Struct, frozen=True):
    """A function, its parameters, and words of which a description has one."""

    program: str
    parameters: tuple[str, ...]
    purposes: tuple[str, ...]


class _Texts(Struct, frozen=True, rename={"functions": "function", "notes": "note", "reports": "report"}):
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    puzzles: tuple[tuple[str, float | tuple[str, ...]], ...]
    programs: tuple[str, ...]
    functions: tuple[_Function, ...]
    notes: tuple[_Note, ...]
    reports: tuple[_Report, ...]
    undocumented: tuple[_Undocumented, ...]


@cache
def _texts() -> _Texts:
    return msgspec.toml.decode(Path(__file__).with_name("texts.toml").read_bytes(), type=_Texts)


class Task(Struct, frozen=True, kw_only=True):
    """One prompt, and whether an answer to it is right. With `tests`, the program in the answer must pass them."""

    use_case: str
    prompt: str
    right: Right | None = None
    tests: tuple[str, ...] = ()
    defines: str = ""  # the function that `tests` call
    truth: str = ""  # one right answer
    max_tokens: int = 16


class Search(Struct, frozen=True, kw_only=True):
    """For models that embed: of *texts*, the one at *place* is the nearest to *query*."""

    query: str
    texts: tuple[str, ...]
    place: int


def searches() -> list[Search]:
    """Return 60 tasks for models that embed."""
    found = []
    for sources in (_texts().reports, _texts().notes):
        texts = tuple(source.text.replace("\n", " ") for source in sources)
        for place, source in enumerate(sources):
            found += [Search(query=query, texts=texts, place=place) for query in source.queries]
    return found


def every() -> list[Task]:
    """Return all tasks, use case by use case."""
    return [
        *_chat(),
        *_reasoning(),
        *_code_generation(),
        *_code_understanding(),
        *_extraction(),
        *_summarisation(),
        *_documentation(),
    ]


def names(*wanted: str) -> Right:
    """Return what tells whether an answer has one of the *wanted* words or phrases, as whole words."""
    pattern = "|".join(re.escape(one.lower()) for one in wanted)
    return lambda answer: re.search(rf"(?<!\w)(?:{pattern})(?!\w)", plain(answer)) is not None


def number(wanted: float) -> Right:
    """Return what tells whether the last number of an answer is *wanted*."""

    def right(answer: str) -> bool:
        found = re.findall(r"-?\d+(?:\.\d+)?", answer.replace(",", ""))
        return bool(found) and float(found[-1]) == wanted

    return right


def prints(wanted: str) -> Right:
    """Return what tells whether an answer says that a program prints *wanted*, alone in a line or in a sentence."""
    lowered = wanted.lower().strip("\"'")
    said = re.compile(rf"\bprints? (?:the \w+ )?[\"']?{re.escape(lowered)}[\"']?(?= to\b|\.?$|\.\s|\n)")

    def right(answer: str) -> bool:
        cleaned = [
            re.sub(r"^.*?\b(?:output|prints|answer)\b[^:]*:\s*", "", line)
            for line in plain(answer).split("\n")
        ]
        alone = any(line.strip(" .\"'") == lowered for line in cleaned)
        return alone or said.search(plain(answer)) is not None

    return right


def all_of(*parts: Right) -> Right:
    """Return what tells whether an answer is right by all *parts*."""
    return lambda answer: all(part(answer) for part in parts)


def words(least: int, most: int) -> Right:
    """Return what tells whether an answer has so many words."""
    return lambda answer: least <= len(plain(answer).split()) <= most


def plain(answer: str) -> str:
    """Return *answer* in lower case, without marks of emphasis and code."""
    return re.sub(r"[*`_#]+", "", answer).strip().lower()


def _chat() -> Iterator[Task]:
    for question, wanted in _texts().facts:
        yield Task(
            use_case="chat",
            prompt=f"{question} Answer in a few words.",
            right=names(*wanted),
            truth=wanted[0],
        )


def _reasoning() -> Iterator[Task]:
    for a, b in ((3, 9), (14, 11), (70, 17), (102, 98), (0.5, 0.25), (1.9, 1.11)):
        prompt = f"Which number is larger, {a} or {b}? Write only that number."
        yield _number("reasoning", prompt, max(a, b))
    for start, step, times in (
        (2, 2, 4),
        (5, 5, 4),
        (10, -1, 4),
        (7, 7, 4),
        (1, 3, 5),
        (100, -25, 3),
        (4, 11, 4),
    ):
        shown = [start + step * n for n in range(times)]
        prompt = f"{', '.join(map(str, shown))}: which number comes next? Write only that number."
        yield _number("reasoning", prompt, start + step * times)
    for start, factor in ((1, 2), (3, 2), (2, 3), (5, 10)):
        shown = [start * factor**n for n in range(4)]
        prompt = f"{', '.join(map(str, shown))}: which number comes next? Write only that number."
        yield _number("reasoning", prompt, start * factor**4)
    for prompt, wanted in _texts().puzzles:
        told = f"{prompt} Write only the answer."
        if isinstance(wanted, tuple):
            yield Task(use_case="reasoning", prompt=told, right=names(*wanted), truth=wanted[0])
        else:
            yield _number("reasoning", told, wanted)


def _number(use_case: str, prompt: str, wanted: float) -> Task:
    return Task(use_case=use_case, prompt=prompt, right=number(wanted), truth=str(wanted))


def _code_generation() -> Iterator[Task]:
    for asked in _texts().functions:
        name = asked.signature.partition("(")[0]
        yield Task(
            use_case="code_generation",
            prompt=f"Write a Python function {asked.signature} that {asked.does}. Show only the code.",
            tests=tuple(f"assert {name}{test}" for test in asked.tests),
            defines=name,
            truth=f"def {asked.signature}:\n    {asked.body}\n",
            max_tokens=110,
        )


def _code_understanding() -> Iterator[Task]:
    for program in _texts().programs:
        with redirect_stdout(io.StringIO()) as printed:
            exec(program, {})
        wanted = printed.getvalue().strip()
        yield Task(
            use_case="code_understanding",
            prompt=f"What does this Python program print?\n\n{program}\n\nWrite only what it prints.",
            right=prints(wanted),
            truth=wanted,
        )


def _extraction() -> Iterator[Task]:
    for note in _texts().notes:
        for what, wanted in note.asked:
            prompt = f"{note.text}\n\n{what} Write only the answer."
            yield Task(use_case="extraction", prompt=prompt, right=names(*wanted), truth=wanted[0])


def _summarisation() -> Iterator[Task]:
    for report in _texts().reports:
        text = report.text.replace("\n", " ")
        subjects, outcomes = report.subjects, report.outcomes
        half = max(12, len(text.split()) // 2)
        yield Task(
            use_case="summarisation",
            prompt=f"{text}\n\nSummarise the text in one short sentence.",
            right=all_of(names(*subjects), words(3, half)),
            truth=f"This is about {subjects[0]}.",
            max_tokens=40,
        )
        yield Task(
            use_case="summarisation",
            prompt=f"{text}\n\nIn one short sentence: what is the result?",
            right=all_of(names(*outcomes), words(1, half)),
            truth=outcomes[0],
            max_tokens=40,
        )
        yield Task(
            use_case="summarisation",
            prompt=f"{text}\n\nWrite a title of at most eight words for this text.",
            right=all_of(names(*subjects, *outcomes), words(1, 8)),
            truth=f"{outcomes[0]}: {subjects[0]}",
            max_tokens=24,
        )


def _documentation() -> Iterator[Task]:
    for one in _texts().undocumented:
        program, parameters, purposes = one.program, one.parameters, one.purposes
        yield Task(
            use_case="documentation",
            prompt=f"{program}\n\nDescribe in one short sentence what this function does.",
            right=all_of(names(*purposes), words(3, 30)),
            truth=f"It does: {purposes[0]}",
            max_tokens=40,
        )
        yield Task(
            use_case="documentation",
            prompt=f"{program}\n\nList the parameters of this function, separated by commas. Write only their names.",
            right=_only(parameters),
            truth=", ".join(parameters),
            max_tokens=24,
        )
        yield Task(
            use_case="documentation",
            prompt=f"{program}\n\nWrite one line for its documentation. Begin with the word Return.",
            right=all_of(lambda answer: plain(answer).lstrip("\"' ").startswith("return "), names(*purposes)),
            truth=f"Return {purposes[0]}",
            max_tokens=40,
        )


def _only(wanted: Sequence[str]) -> Right:
    """Return what tells whether an answer lists the *wanted* names, in any order, and nothing else."""

    def right(answer: str) -> bool:
        line = answer.strip().split("\n")[0].strip("`.[]() ")
        return sorted(one.strip(" `'\"") for one in line.split(",")) == sorted(wanted)

    return right
