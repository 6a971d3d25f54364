"""Adds commands to the command line. Each is imported when it is called, and shows examples in its help."""

from typing import NamedTuple

from cyclopts import App, Group

from vedette.text.figures import plural

NOTHING_FOUND = 3
DEFERRED = 5
EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 nothing found, 4 cannot reach, "
    "5 deferred, 130 Ctrl-C, 143 SIGTERM."
)

START = Group.create_ordered("Start")
ASK = Group.create_ordered("Ask")
MEASURE = Group.create_ordered("Measure now")
OPERATE = Group.create_ordered("Operate")
PROGRAM = Group.create_ordered("For programs")


class Entry(NamedTuple):
    """A command: its function (`module:name`), one line of help, and examples.

    Its name is the function's, with hyphens, unless one is given.
    """

    place: str
    line: str
    examples: tuple[str, ...]
    name: str | None = None


def add(app: App, *entries: Entry, group: Group | None = None, show: bool = True) -> None:
    """Add *entries* to *app*, in the *group* of its help. Without *show*, help does not list them.

    The function of a command is imported when the command is called.
    """
    for entry in entries:
        name = entry.name or entry.place.partition(":")[2].replace("_", "-")
        examples = "\n".join(f"  {example}" for example in entry.examples)
        app.command(
            entry.place,
            name=name,
            help=entry.line,
            group=group,
            show=show,
            help_epilogue=f"{plural(len(entry.examples), 'Example')}:\n{examples}\n\n{EXIT_CODES}",
        )
