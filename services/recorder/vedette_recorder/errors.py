"""Errors between the recorder and its database."""

from vedette.errors import VedetteError


class DatabaseUnavailable(VedetteError, text="{url}: {problem}"):
    """The database cannot be reached, or refuses a statement."""

    url: str
    problem: str
