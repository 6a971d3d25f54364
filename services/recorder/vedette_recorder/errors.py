"""What can go wrong between the recorder and its database."""

from vedette.errors import VedetteError


class DatabaseUnavailable(VedetteError):
    """{url}: {problem}"""  # noqa: D400 - a message, not a sentence

    url: str
    problem: str
