"""`completion`: scripts with which shells complete commands, options and names."""

import shlex
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import entry_points
from typing import Annotated, Literal

from cyclopts import App, Parameter

from vedette.cli import app, options
from vedette.cli.output import say
from vedette.client import Client
from vedette.errors import ConfigurationError, VedetteError
from vedette.runtime.loop import run
from vedette.settings import Settings
from vedette.text.shown import shown

Shell = Literal["bash", "zsh", "fish"]
Kind = Literal["endpoint", "model", "target", "use-case", "suite"]

# The kind of name after an option, or in a positional argument of a command. A target is a model or an endpoint.
OF_OPTIONS: dict[str, Kind] = {
    "--endpoint": "endpoint",
    "--exclude": "model",
    "--model": "model",
    "--suite": "suite",
    "--use-case": "use-case",
}
OF_COMMANDS: dict[str, Kind] = {
    "recommend": "use-case",
    "explain": "use-case",
    "watch": "use-case",
    "history": "target",
    "report": "model",
    "discover": "endpoint",
    "probe": "target",
    "benchmark": "target",
    "verify": "target",
    "evaluate": "target",
    "doctor": "target",
    "knowledge show": "model",
    "endpoints edit": "endpoint",
    "endpoints pause": "endpoint",
    "endpoints resume": "endpoint",
    "endpoints remove": "endpoint",
    "endpoints restore": "endpoint",
    "endpoints history": "endpoint",
}
# An entry point with a function that takes the settings and returns names that only a service knows.
_GROUP = "vedette.names"
_MAX_OFFERED = 1000
_TIMEOUT_S = 1.0

# Cyclopts' scripts complete commands and options. These lines add the names that `complete-names` prints. They are
# quoted, because servers choose the names of models.
_IN_FISH = "(vedette complete-names (commandline -cp | string collect) 2>/dev/null)"
_HOOKS: dict[Shell, str] = {
    "bash": r"""
_vedette_names() {
  _vedette "$@"
  local line="${COMP_LINE:0:COMP_POINT}" kept="" name
  local word="${line##*[[:space:]]}"
  word="${word#--*=}"
  # Bash replaces only what follows the last colon.
  [[ $COMP_WORDBREAKS == *:* ]] && kept="${word%"${word##*:}"}"
  while IFS= read -r name; do
    printf -v name '%q' "${name#"$kept"}"
    COMPREPLY+=("$name")
  done < <("$1" complete-names "$line" 2>/dev/null)
}
complete -F _vedette_names vedette
""",
    "zsh": r"""
functions[_vedette_options]=$functions[_cyclopts_vedette]
_cyclopts_vedette() {
  local -a offered
  offered=("${(@f)$(${words[1]} complete-names "${(j: :)words[1,CURRENT]}" 2>/dev/null)}")
  _vedette_options "$@"
  compset -P '--*='
  [[ -n $offered ]] && compadd -a offered
}
if [[ -n ${compstate+set} ]]; then
  _cyclopts_vedette "$@"
else
  compdef _cyclopts_vedette vedette
fi
""",
    "fish": "\n".join(
        [
            "",
            f"complete -c vedette -f -a '{_IN_FISH}'",
            # For the value of an option, Fish uses only the line of that option.
            *(f"complete -c vedette -l {option[2:]} -x -a '{_IN_FISH}'" for option in OF_OPTIONS),
            "",
        ]
    ),
}


def completion(
    shell: Annotated[Shell, Parameter(help="Shell that runs the script.")],
    /,
    *,
    install: Annotated[
        bool,
        Parameter(negative="", help="Install the script in your home directory, where the shell finds it."),
    ] = False,
) -> int:
    """Print or install the completion script of a shell."""
    if install:
        path = app.install_completion(shell=shell)
        with path.open("a") as script:
            script.write(_HOOKS[shell])
        say(f"wrote {path}; it works in new shells")
    else:
        say(app.generate_completion(shell=shell).rstrip() + "\n" + _HOOKS[shell].rstrip())
    return 0


def complete_names(line: Annotated[str, Parameter(help="The command line up to the cursor.")], /) -> int:
    """Print the names that can complete the last word of LINE, a command line up to the cursor."""
    kind, begun = wanted(line)
    if kind is not None:
        for name in offered(run(_names(kind)), begun):
            say(name)
    return 0


def wanted(line: str) -> tuple[Kind | None, str]:
    """Return the kind of name that the last word of *line* can be (None: no name), and the text of that word."""
    try:
        _, *words = shlex.split(line)
    except ValueError:  # an open quotation mark, or no word
        return None, ""
    begun = "" if line[-1:].isspace() or not words else words.pop()
    option, equals, value = begun.partition("=")
    if begun.startswith("-"):
        return (OF_OPTIONS.get(option), value) if equals else (None, "")
    if words and words[-1] in OF_OPTIONS:
        return OF_OPTIONS[words[-1]], begun
    if not words or _takes_a_value(words):
        return None, ""
    return OF_COMMANDS.get(_command(words)), begun


def _command(words: list[str]) -> str:
    """Return the command at the start of *words*, in the form of `OF_COMMANDS`."""
    both = " ".join(words[:2])
    return both if both in OF_COMMANDS else words[0]


def _takes_a_value(words: list[str]) -> bool:
    """Return whether the last of *words* is an option that needs a value."""
    command, last = _command(words), words[-1]
    if not last.startswith("-") or "=" in last or command not in OF_COMMANDS:
        return False
    arguments = parser(command).assemble_argument_collection()
    return any(last in argument.names and argument.hint is not bool for argument in arguments)


def parser(command: str) -> App:
    """Return the parser of *command*, such as `knowledge show`."""
    found = app
    for word in command.split():
        found = found[word]
    return found


def offered(names: Iterable[str], begun: str) -> list[str]:
    """Return the first *names* that begin with *begun*, sorted; names that a terminal would change are left out."""
    fitting = {
        name for name in names if name.startswith(begun) and shown(name) == name and name.isprintable()
    }
    return sorted(fitting)[:_MAX_OFFERED]


def named_by_services(kind: Kind, settings: Settings) -> list[str] | None:
    """Return the names of *kind* from the service that knows them; None if it is not installed or fails."""
    with suppress(ConfigurationError):
        for point in entry_points(group=_GROUP, name=kind):
            return list(point.load()(settings))
    return None


async def _names(kind: Kind) -> list[str]:
    settings = _settings()
    if kind in ("use-case", "suite"):
        return named_by_services(kind, settings) or []
    try:
        async with Client(timeout_s=_TIMEOUT_S) as client:
            endpoints = [view.endpoint for view in (await client.endpoints()).endpoints]
            if kind == "endpoint":
                return endpoints
            models = [str(view.model) for view in (await client.models()).models]
            return models if kind == "model" else models + endpoints
    except VedetteError:  # no Vedette runs: complete the configured names
        return [] if kind == "model" else list(settings.endpoints)


def _settings() -> Settings:
    try:
        return options.settings(None)
    except ConfigurationError:
        return Settings()
