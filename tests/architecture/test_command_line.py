"""Every command there is, of whatever package: what its help promises holds."""

import inspect
import shlex
from collections.abc import Iterator
from functools import cache

import pytest
from cyclopts import App, ArgumentCollection

from vedette.cli import app, entries, main

# They run until they are stopped, or print for a shell: nothing that is a document.
WITHOUT_JSON = {"up", "run", "top", "serve-mcp", "completion", "complete-names"}


def _commands(of: App, *path: str) -> Iterator[tuple[str, App]]:
    for name in of:
        command = of[name]
        if not name.startswith("-"):
            yield from _commands(command, *path, name)
            if command.default_command is not None:
                yield " ".join((*path, name)), command


COMMANDS = dict(_commands(app))


@cache
def _arguments(name: str) -> ArgumentCollection:
    return COMMANDS[name].assemble_argument_collection()


EXAMPLES = [
    (name, line.strip())
    for name, command in COMMANDS.items()
    for line in (command.help_epilogue or "").split("\n\n")[0].splitlines()[1:]
]


def test_all_are_found() -> None:
    assert {"recommend", "config show", "dead replay", "export", "quality import"} <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_tells_what_how_and_how_it_ends(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert command.help.endswith(".")
    epilogue = command.help_epilogue or ""
    assert epilogue.startswith("Example")
    assert epilogue.endswith(entries.EXIT_CODES)
    assert f"  vedette {name}" in epilogue


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_examples_are_understood(name: str, example: str) -> None:
    """As the shell would hand them over; what follows `>` is the shell's own."""
    _, *tokens = shlex.split(example.partition(" > ")[0])
    command, bound, unused = app.parse_args(tokens, exit_on_error=False, print_error=False)
    assert not unused
    assert command == COMMANDS[name].default_command
    inspect.signature(command).bind(*bound.args, **bound.kwargs)


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - WITHOUT_JSON))
def test_data_comes_as_json_too(name: str) -> None:
    names = [argument.name for argument in _arguments(name)]
    assert "--json" in names


@pytest.mark.parametrize("name", COMMANDS)
def test_every_argument_is_described(name: str) -> None:
    for argument in _arguments(name):
        if argument.parameter.show is not False and not argument.children:
            assert argument.parameter.help, argument.name


CHOICES = [
    (name, argument.name, choice)
    for name in COMMANDS
    for argument in _arguments(name)
    for choice in argument.get_choices() or ()
]


def test_enumerations_are_found() -> None:
    """Those of events and requests, in whatever command."""
    assert {("models", "--status"), ("recommend", "--capability"), ("report", "--outcome")} <= {
        (name, option) for name, option, _ in CHOICES
    }


@pytest.mark.parametrize(("name", "option", "choice"), CHOICES)
def test_enumerations_are_shown_as_on_the_bus_and_taken_with_hyphens_too(
    name: str, option: str, choice: str
) -> None:
    assert "-" not in choice
    given = [_value(name, option, spelling) for spelling in (choice, choice.replace("_", "-"))]
    assert given[0] == given[1]
    assert choice in str(given[0])


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
