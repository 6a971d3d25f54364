"""What can go wrong between the recorder and its database."""

from vedette.errors import VedetteError


class DatabaseUnavailable(VedetteError, text="{url}: {problem}"):
    """The database cannot be reached, or does not do what is asked of it."""

    url: str
    problem: str
