"""Every command there is, of whatever package: what its help promises holds."""

import inspect
import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from cyclopts import App, ArgumentCollection

from vedette.cli import app, entries, main

ROOT = Path(__file__).parents[2]
# They run until they are stopped, or print for a shell: nothing that is a document.
WITHOUT_JSON = {"up", "run", "top", "serve-mcp", "completion", "complete-names"}


def _commands(of: App, *path: str) -> Iterator[tuple[str, App]]:
    for name in of:
        command = of[name]
        if not name.startswith("-"):
            yield from _commands(command, *path, name)
            if command.default_command is not None:
                yield " ".join((*path, name)), command


@cache
def _all() -> dict[str, App]:
    """Return every command by its name. Not when this is imported: each process that runs tests does that."""
    return dict(_commands(app))


@cache
def _arguments(name: str) -> ArgumentCollection:
    return _all()[name].assemble_argument_collection()


def _examples() -> Iterator[tuple[str, str]]:
    for name, command in _all().items():
        for line in (command.help_epilogue or "").split("\n\n")[0].splitlines()[1:]:
            yield name, line.strip()


def test_all_are_found() -> None:
    assert {"recommend", "config show", "dead replay", "export", "quality import"} <= set(_all())
    assert len(list(_examples())) > len(_all())


def test_help_tells_what_how_and_how_it_ends() -> None:
    for name, command in _all().items():
        assert command.help, name
        assert command.help.endswith("."), name
        epilogue = command.help_epilogue or ""
        assert epilogue.startswith("Example"), name
        assert epilogue.endswith(entries.EXIT_CODES), name
        assert f"  vedette {name}" in epilogue


def test_examples_are_understood() -> None:
    """As the shell would hand them over; what follows `>` is the shell's own."""
    for name, example in _examples():
        _, *tokens = shlex.split(example.partition(" > ")[0])
        command, bound, unused = app.parse_args(tokens, exit_on_error=False, print_error=False)
        assert not unused, example
        assert command == _all()[name].default_command, example
        inspect.signature(command).bind(*bound.args, **bound.kwargs)


def _documented() -> Iterator[tuple[str, str]]:
    """Yield each command line that a sentence or a table of the documents names, with its page."""
    for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("services/*/README.md")):
        for line in re.findall(r"`vedette ([a-z][^`\n]*)`", page.read_text()):
            for words in product(*(word.split("|") for word in line.split(" "))):
                yield page.name, " ".join(words)


def test_commands_of_the_documents_exist() -> None:
    """With their options: code blocks are run by other tests."""
    found, unknown = 0, []
    for page, line in _documented():
        name = next((name for name in _all() if f"{line} ".startswith(f"{name} ")), None)
        group = any(other.startswith(f"{line} ") for other in _all())
        known = {one for argument in _arguments(name) for one in argument.names} if name else set()
        options = set(re.findall(r"(?<=\s)--[a-z][\w-]*", line.partition(" -- ")[0]))
        if (name is None and not group) or (name and options - known - {"--help"}):
            unknown.append((page, line))
        found += 1
    assert not unknown
    assert found > 100


def test_data_comes_as_json_too() -> None:
    silent = {name for name in _all() if "--json" not in [argument.name for argument in _arguments(name)]}
    assert silent <= WITHOUT_JSON


def test_every_argument_is_described() -> None:
    for name in _all():
        for argument in _arguments(name):
            if argument.parameter.show is not False and not argument.children:
                assert argument.parameter.help, (name, argument.name)


def test_enumerations_are_shown_as_on_the_bus_and_taken_with_hyphens_too() -> None:
    """Those of events and requests, in whatever command."""
    options = {
        (name, argument.name): argument.get_choices() or ()
        for name in _all()
        for argument in _arguments(name)
    }
    for (name, option), choices in options.items():
        assert not any("-" in choice for choice in choices), (name, option)
        # All are taken by one rule: the first one, and those that have two spellings.
        for choice in {*choices[:1], *(choice for choice in choices if "_" in choice)}:
            for spelling in {choice, choice.replace("_", "-")}:
                assert choice in str(_value(name, option, spelling)), (name, option)
    some = {("models", "--status"), ("recommend", "--capability"), ("report", "--outcome")}
    assert some <= {place for place, choices in options.items() if choices}


def _value(name: str, option: str, value: str) -> object:
    """Return what the command takes *value* for."""
    arguments = _arguments(name)
    required = ["x" for one in arguments if one.required and one.name != option]
    value_of_it = [option, value] if option.startswith("-") else [value]
    tokens = [*name.split(), *required, *value_of_it]
    _, bound, _ = app.parse_args(tokens, exit_on_error=False, print_error=False)
    return dict(bound.arguments)


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (["modles"], 'did you mean "models"'),
        (["models", "--jsno"], "did you mean --json"),
        (["recommend"], "use_case"),
        (["recommend", "chat", "--limit", "many"], "--limit"),
    ],
)
def test_a_slip_is_one_line_that_helps(
    tokens: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(tokens)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1
    assert says in err.lower()
    assert err.rstrip().endswith("--help)")
