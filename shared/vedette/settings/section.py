"""The base of every section of the configuration: tables, secrets, and checks of well-typed values."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from vedette.errors import ConfigurationError

Seconds = Annotated[float, Meta(gt=0)]
Problem = tuple[str, str]  # a key, such as "headers.X-Team", and what is wrong with its value


class Section(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the configuration file."""

    def check(self) -> Iterator[Problem]:
        """Yield problems of values with a valid type. A section with such rules overrides this."""
        yield from ()

    def problems(self) -> Iterator[Problem]:
        """Yield the problems of this section and of the sections within it."""
        yield from self.check()
        for key in self.__struct_fields__:
            yield from _problems_within(key, getattr(self, key))


def _problems_within(key: str, value: Any) -> Iterator[Problem]:
    if isinstance(value, Section):
        for inner, problem in value.problems():
            yield f"{key}.{inner}" if inner else key, problem
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _problems_within(f"{key}.{name}", one)
    elif isinstance(value, tuple):
        for place, one in enumerate(value):
            yield from _problems_within(f"{key}[{place}]", one)


class Secret(Section, frozen=True, kw_only=True):
    """A reference to a secret. The secret is read at each use; a process uses a new value after its restart."""

    env: str | None = None
    file: str | None = None

    def read(self, where: str) -> str:
        """Return the secret. Raises ConfigurationError, which names the setting *where*, never the value."""
        if self.env is not None:
            value = os.environ.get(self.env, "").strip()  # drops a line end, as of `$(cat key)`
            if not value:
                raise ConfigurationError(
                    where=where, problem=f"the environment variable {self.env} is not set"
                )
            return value
        try:
            value = Path(self.file or "").read_text("utf-8-sig").strip()
        except OSError as error:
            raise ConfigurationError(
                where=where, problem=f"{self.file} cannot be read: {error.strerror}"
            ) from error
        except UnicodeDecodeError as error:
            raise ConfigurationError(where=where, problem=f"{self.file} is not UTF-8") from error
        if not value:
            raise ConfigurationError(where=where, problem=f"{self.file} is empty")
        return value

    @property
    def reference(self) -> str:
        """A text for the place of the secret: `env:NAME` or `file:/path`."""
        return f"env:{self.env}" if self.env else f"file:{self.file}"

    def check(self) -> Iterator[Problem]:
        """Yield a problem unless exactly one place is given."""
        if (self.env is None) == (self.file is None):
            yield "", 'a secret has either "env" or "file"'
