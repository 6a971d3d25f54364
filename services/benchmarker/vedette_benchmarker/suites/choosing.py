"""The available suites: built-in ones, and those of the operator's folder."""

from pathlib import Path

from vedette.errors import ConfigurationError
from vedette.settings import Settings
from vedette_benchmarker.suites import Suite
from vedette_benchmarker.suites.own import parse
from vedette_benchmarker.suites.registry import SUITES

_ENDINGS = (".toml", ".jsonl")


def suites(folder: str | None) -> tuple[Suite, ...]:
    """Return the built-in suites, and one for each file in *folder*, by name.

    Raises ConfigurationError for a folder that cannot be read, a file without a suite, and a name that exists already.
    """
    own: dict[str, Suite] = {}
    for file in _files(folder) if folder else ():
        suite = _own(file)
        if suite.kind in own:
            raise ConfigurationError(where=file, problem="another file here has the same name; rename one")
        own[suite.kind] = suite
    return (*SUITES, *own.values())


def names(settings: Settings) -> list[str]:
    """Return the kinds of all suites. Raises ConfigurationError like `suites`."""
    return [suite.kind for suite in suites(settings.evaluating.suites)]


def _files(folder: str) -> list[Path]:
    try:
        return sorted(file for file in Path(folder).iterdir() if file.suffix in _ENDINGS)
    except OSError as error:
        raise ConfigurationError(where="evaluating.suites", problem=f"{folder}: {error.strerror}") from error


def _own(file: Path) -> Suite:
    try:
        return parse(file.name, file.read_text("utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(where=file, problem=f"cannot be read: {error}") from error
