"""What users and contributors read is in plain words: documents, help, errors, other texts, docstrings, comments.

A page that still has old words is listed with their number. The number may only go down.
"""

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
from cyclopts import App
from msgspec import Struct

from vedette.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("services/*/README.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)
# Other files that users open: each line, as it is.
OPENED = [
    *(
        ROOT / name
        for name in ("justfile", "pyproject.toml", "shared/vedette/example.toml", "deploy/Dockerfile")
    ),
    *ROOT.glob("deploy/**/*.yaml"),
    *ROOT.glob("examples/**/*.py"),
    *(file for file in ROOT.glob("scripts/*") if file.is_file()),
]
# Texts for models, and words that are looked for in texts of callers.
NOT_OURS = ("/suites/", "/judging/tasks.py", "vedette_benchmarker/load.py", "vedette_gateway/features.py")
SOURCES = [*ROOT.glob("shared/vedette/**/*.py"), *ROOT.glob("services/*/vedette_*/**/*.py")]

# What to write instead.
INSTEAD = {
    r"whoever|whosoever": "operator, or name who it is",
    r"nobody|somebody|anybody": "say who: no worker, no consumer, a user",
    r"everybody": "every user, all",
    r"anew|afresh": "again",
    r"for ?ever": "without limit, or until when",
    r"in earnest": "production",
    r"mend(?:s|ed|ing)?": "fix, correct",
    r"heal(?:s|ed)?": "is corrected",
    r"blott?(?:ed|s)? out": "redacted",
    r"(?:put(?:s|ting)?|putting) (?:it |them )?to the proof|proofs?|proves?|proved|proven": "test, capability check",
    r"(?:it|he|she|they) (?:writes|write) so many|so many": "a number, or its name",
    r"put(?:s|ting)? off": "deferred",
    r"hearers?|keepers?": "consumer",
    r"hears?|heard": "subscribes to, receives",
    r"(?<!dead )(?<!dead-)(?<!lower-case )letters?(?! of|, digits)": "dead letter",
    r"as deep as|does no harm": "as deeply as is safe",
    r"ledgers?": "usage, budget",
    r"packed days": "daily aggregates",
    r"tells?(?! \w+ apart)|told": "reports, shows, says",
    r"senders?": "publisher",
    r"unasked": "by schedule",
    r"whichever": "any",
    r"events and questions": "events and queries",
    r"who (?:sends|asks|says)": "publisher, consumer",
    r"what (?:\w+ )?(?:\w+ )?comes? (?:of|to)": "result",
    r"of its own accord|by themselves alone": "automatically",
    r"without a word": "without a final status",
    r"in (?:its |their )?hands?": "running, in progress",
    r"bears? out": "confirms",
    r"of those that": "of the …",
    r"one's own": "your own",
    r"beside": "next to, in addition to",
    r"by a hair|came past|leaves? us deaf": "plain words",
    r"(?:MOST|LEAST|LONGEST)_[A-Z_]+": "MAX_…, MIN_…",
}
OLD = re.compile("|".join(rf"\b(?:{words})\b" for words in INSTEAD), re.IGNORECASE)

# Texts that still have old words, with how many.
KNOWN: dict[str, int] = {}


def old_words(text: str) -> list[str]:
    """Return the old words of *text*; a line break counts as a space."""
    return [found.group() for found in OLD.finditer(" ".join(text.split()))]


def prose(page: str) -> str:
    """Return a page without code, link targets and what programs wrote."""
    page = re.sub(r"^( *)```.*?^\1```", "", page, flags=re.DOTALL | re.MULTILINE)
    page = re.sub(r"^\|.*\| (?:I\d+ ?)*\| \d+ \|.*$", "", page, flags=re.MULTILINE)  # of just faults
    page = re.sub(r"<!-- table:.*?<!-- end -->", "", page, flags=re.DOTALL)
    page = re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL)
    # Names of types in docs/events.md.
    page = re.sub(r"^### \w+$|\[\w+\]\(#\w+\)", "…", page, flags=re.MULTILINE)
    page = re.sub(r"`[^`]*`", "`…`", page)
    return re.sub(r"\]\([^)]*\)", "]", page)


def _commands(of: App) -> Iterator[App]:
    for name in of:
        if not name.startswith("-"):
            yield of[name]
            yield from _commands(of[name])


def help_texts() -> Iterator[str]:
    """Yield the help of every command and of every argument."""
    for command in (app, *_commands(app)):
        yield f"{command.help}\n{command.help_epilogue}"
        if command.default_command is not None:
            for argument in command.assemble_argument_collection():
                yield argument.parameter.help or ""


def messages(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """Yield the texts of a source that users may read: all strings but docstrings. One word alone is a key."""
    docstrings = {
        id(node.body[0].value)
        for node in nodes
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    yield from (
        re.sub(r"`[^`]*`", "`…`", part.value)
        for part in nodes
        if isinstance(part, ast.Constant)
        and isinstance(part.value, str)
        and id(part) not in docstrings
        and " " in part.value.strip()
    )


def comments(source: str) -> Iterator[str]:
    """Yield the comments of a source; lines below each other are one."""
    found: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if found and token.start[0] != last + 1:
                yield " ".join(found)
                found = []
            found.append(re.sub(r"`[^`]*`", "`…`", token.string.lstrip("# ")))
            last = token.start[0]
    yield " ".join(found)


def exception_messages() -> Iterator[str]:
    """Yield the texts of the classes in errors.py, whose braces the fields fill."""
    tree = ast.parse((ROOT / "shared/vedette/errors.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from (ast.literal_eval(given.value) for given in node.keywords if given.arg == "text")


def docstrings(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """Yield the docstrings of a source without names of parameters (`*told*`) and code."""
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield re.sub(r"`[^`]*`|\*\w+\*", "…", ast.get_docstring(node) or "")


def names(nodes: Sequence[ast.AST]) -> set[str]:
    """Return what a source gives a name to, and the names that it uses."""
    return {
        node.arg if isinstance(node, ast.arg) else node.id if isinstance(node, ast.Name) else node.name
        for node in nodes
        if isinstance(node, ast.Name | ast.arg | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }


class Read(Struct, frozen=True):
    """What one source has."""

    texts: list[str]
    explained: list[str]  # docstrings and comments
    names: set[str]


@cache
def _sources() -> dict[str, Read]:
    """Return what each source has: to parse and to walk through all of them takes seconds, so it is done once."""
    found = {}
    for file in SOURCES:
        name, source = file.relative_to(ROOT).as_posix(), file.read_text()
        nodes = list(ast.walk(ast.parse(source)))
        texts = [] if any(part in name for part in NOT_OURS) else list(messages(nodes))
        found[name] = Read(texts, [*docstrings(nodes), *comments(source)], names(nodes))
    return found


@cache
def _texts() -> tuple[tuple[str, str], ...]:
    return tuple(_found_texts())


def _found_texts() -> Iterator[tuple[str, str]]:
    for page in PAGES:
        yield page.relative_to(ROOT).as_posix(), prose(page.read_text())
    yield from (
        (file.relative_to(ROOT).as_posix(), re.sub(r"`[^`]*`", "`…`", file.read_text())) for file in OPENED
    )
    yield from (("help", text) for text in help_texts())
    yield from (("shared/vedette/errors.py", text) for text in exception_messages())
    yield from ((name, text) for name, read in _sources().items() for text in read.texts)


def test_users_read_plain_words() -> None:
    found: dict[str, list[str]] = defaultdict(list)
    for name, text in _texts():
        found[name] += old_words(text)
    assert {name: old for name, old in found.items() if len(old) > KNOWN.get(name, 0)} == {}
    assert {name for name, old in found.items() if not old} & KNOWN.keys() == set()


def test_docstrings_and_comments_are_in_plain_words() -> None:
    """Of the shared package, and of the services."""
    assert [
        (name, old) for name, read in _sources().items() for text in read.explained for old in old_words(text)
    ] == []


def test_limits_are_named_min_and_max() -> None:
    assert [
        (file.name, name)
        for file in SOURCES
        for name in re.findall(r"\b_?(?:MOST|LEAST|LONGEST|FEWEST)(?:_[A-Z_]+)?\b", file.read_text())
    ] == []


# One word that stood for many things, in names; the gateway and the console are still to follow.
OLD_NAMES = {"tell", "tells", "told", "telling", "hear", "hears", "heard", "hearing", "untold", "unasked"}


def test_names_say_what_they_hold() -> None:
    found = {
        (path.name, name)
        for path, read in ((Path(file), read) for file, read in _sources().items())
        if not {"vedette_gateway", "vedette_console"} & {*path.parts}
        for name in read.names
    }
    wire = {"heard_at"}
    kept = {("names.py", "told")}  # a keyword of `identify`, which others call
    assert [
        (file, name)
        for file, name in found - kept
        if name not in wire and OLD_NAMES & {*name.lower().split("_")}
    ] == []


def test_texts_are_found() -> None:
    """What is looked at is what there is: help of arguments, messages, pages."""
    assert {
        "README.md",
        "docs/operate.md",
        "docs/events.md",
        "docs/adr/0048-straight-paths.md",
        "services/recorder/README.md",
        "deploy/chart/files/rules.yaml",
        "examples/bare_nats.py",
        "shared/vedette/example.toml",
        "services/recommender/vedette_recommender/sentences.py",
    } <= {name for name, _ in _texts()}
    assert any(name == "help" and "Discovers the language models" in text for name, text in _texts())
    assert any("{where}" in text for text in exception_messages())
    function = ast.parse('def f(told):\n    """Return *told*, as `tell` does."""')
    assert list(docstrings([*ast.walk(function)]))[1:] == ["Return …, as … does."]
    raising = ast.parse("raise Broken(problem=f'no file {x}')")
    assert list(messages([*ast.walk(raising)])) == ["no file "]
    printing = ast.parse("def f():\n    '''Hidden.'''\n    print('a key', 'key')")
    assert list(messages([*ast.walk(printing)])) == ["a key"]
    assert list(comments("a = 1  # of\n# two\n\nb = 2  # `told` alone\n")) == ["of two", "`…` alone"]


@pytest.mark.parametrize(
    "sentence",
    [
        "A letter is kept.",
        "What nobody\ntook may be sent again.",
        "The job was put off.",
        "Whoever reads this is told so.",
        "Models have to prove it.",
    ],
)
def test_old_words_are_found(sentence: str) -> None:
    assert old_words(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "A dead letter keeps the message and the reason.",
        "The dead-letter stream is full.",
        "The model's answer to a question of the suite is graded.",
        "Improved output; approved by the operator.",
        "Vedette disproves a capability only by a refusal.",
        "Questions that cannot tell models apart.",
        "A name has lower-case letters, digits and hyphens.",
    ],
)
def test_the_field_s_words_are_allowed(sentence: str) -> None:
    assert not old_words(sentence)
