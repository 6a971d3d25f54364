"""Error messages for a mistyped command line: the same at every level of commands. Pure."""

import difflib

from cyclopts import App, CycloptsError
from cyclopts.exceptions import CoercionError, MissingArgumentError, UnusedCliTokensError

from vedette.text.figures import plural

_WANTED = {int: "a whole number", float: "a number"}


def explained(error: CycloptsError) -> str:
    """Return one sentence: what is wrong, the nearest command or option, and the command whose help shows it."""
    place = " ".join(("vedette", *(error.command_chain or ())))
    return f"{_problem(error)} (see: {place} --help)"


def _problem(error: CycloptsError) -> str:
    typed = list(error.root_input_tokens or ())[len(error.command_chain or ()) :]
    names = _commands(error.app)
    if names and typed and not typed[0].startswith("-"):
        return _unknown(typed[0], names)
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        extra = error.unused_tokens
        return f"unexpected {plural(len(extra), 'argument')}: {' '.join(extra)}"
    if type(error) is MissingArgumentError and error.argument is not None:
        name = error.keyword or error.argument.name
        return f"{name} needs a value" if name in typed else f"{name} is missing"
    if isinstance(error, CoercionError) and error.token is not None and error.target_type in _WANTED:
        name = error.token.keyword or (error.argument.name if error.argument else "it")
        return f"{name} must be {_WANTED[error.target_type]}, not {error.token.value!r}"
    text, *_ = " ".join(str(error).split()).partition(" Available commands:")
    text = text.rstrip(".")
    return text[:1].lower() + text[1:]


def _commands(app: App | None) -> list[str]:
    """Return the names of the commands below *app*."""
    return [name for name in app if not name.startswith("-")] if app else []


def _unknown(given: str, names: list[str]) -> str:
    # Cyclopts' own text takes seconds: it imports every command, to leave out those that help does not show.
    near = difflib.get_close_matches(given, names, n=1)
    return f'unknown command "{given}"' + "".join(f'. Did you mean "{name}"?' for name in near)
