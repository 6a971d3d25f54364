"""The operator's own published facts: a file on this machine, merged with the package's facts."""

from collections.abc import Sequence
from pathlib import Path

from vedette.errors import ConfigurationError
from vedette.knowledge import Table, bundled, own
from vedette.knowledge.table import BENCHMARKS, FACTS, links, read
from vedette.local import private
from vedette.settings import Settings

FILE = "facts.csv"
_SHOWN = 20  # bad lines in one error message


def place(settings: Settings, directory: Path) -> Path:
    """Return the path of the operator's own facts: as configured, else in the state *directory*."""
    return Path(settings.recommend.facts).expanduser() if settings.recommend.facts else directory / FILE


def load(file: Path | None) -> Table:
    """Return the package's table; with the operator's own facts if *file* exists. Raises ConfigurationError."""
    if file is None or not file.is_file():
        return bundled()
    return own.merged(bundled(), facts_in(file), read(FACTS), links(read(BENCHMARKS)))


def facts_in(file: Path) -> list[own.OwnFact]:
    """Return the facts in *file*. Raises ConfigurationError, which names each bad line."""
    try:
        text = file.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(where=file, problem=f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(where=file, problem=f"is not UTF-8: {error.reason}") from error
    facts, problems = own.read(text, links(read(BENCHMARKS)))
    if problems:
        raise ConfigurationError(where=file, problem=_listed(problems))
    if not facts:
        raise ConfigurationError(
            where=file, problem="holds no facts; it needs the columns of facts.csv and at least one line"
        )
    return facts


def add(file: Path, new: Sequence[own.OwnFact]) -> int:
    """Merge *new* facts into *file*; return the number of facts in it. Raises ConfigurationError."""
    old = facts_in(file) if file.is_file() else []
    facts = own.joined(old, new)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        private.write_file(file, own.text_of(facts))
    except OSError as error:
        raise ConfigurationError(where=file, problem=f"cannot be written: {error.strerror}") from error
    return len(facts)


def _listed(problems: Sequence[str]) -> str:
    more = len(problems) - _SHOWN
    named = [*problems[:_SHOWN], *([f"and {more} more"] if more > 0 else [])]
    return f"nothing was taken; bad lines: {len(problems)}. {'; '.join(named)}"
