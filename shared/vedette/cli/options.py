"""Options that several commands share, and their results."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from shlex import quote
from typing import Annotated

import msgspec
from cyclopts import Parameter

from vedette.bus.connection import without_secrets
from vedette.client import CA_VARIABLE, URL_VARIABLE, Client
from vedette.errors import ConfigurationError, NotRunning, RequestError
from vedette.local import facts, instance
from vedette.messages.validation import folded
from vedette.settings import Nats, Settings, Source, load, seconds, settings_file

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print a JSON object instead of a table.")]
Config = Annotated[
    str | None,
    Parameter(
        name="--config", help="Configuration file. Default: VEDETTE_CONFIG, else ./vedette.toml, else none."
    ),
]

# An enumeration is shown as on the bus; hyphens are accepted too.
Enumerated = Parameter(name_transform=folded)


@Parameter(name="*")
@dataclass(frozen=True)
class Instance:
    """The Vedette that a command talks to: by default the local one."""

    nats: Annotated[
        str | None,
        Parameter(help=f"URL of the NATS server. Default: {URL_VARIABLE}, else the Vedette that runs here."),
    ] = None
    state_dir: Annotated[
        str | None,
        Parameter(
            help="State directory of the Vedette on this machine. Default: in the user's data directory."
        ),
    ] = None
    ca_file: Annotated[
        str | None,
        Parameter(
            help=f"Certificate authority of the NATS server, as a PEM file. Default: {CA_VARIABLE}, else the system's."
        ),
    ] = None

    def words(self) -> str:
        """Return the options that name this Vedette, for a command that is shown; without credentials."""
        named = {
            "--nats": self.nats and without_secrets(self.nats),
            "--state-dir": self.state_dir,
            "--ca-file": self.ca_file,
        }
        return "".join(f" {option} {quote(value)}" for option, value in named.items() if value)

    def client(self, *, timeout_s: float | None = None) -> Client:
        """Return a client of this Vedette, as agents have."""
        if timeout_s is None:
            return Client(self.nats, ca_file=self.ca_file, state_dir=self.state_dir)
        return Client(self.nats, ca_file=self.ca_file, state_dir=self.state_dir, timeout_s=timeout_s)

    def operator(self) -> Nats:
        """Return the operator's connection settings. Raises NotRunning."""
        url = self.nats or os.environ.get(URL_VARIABLE)
        url = url or instance.find(instance.state_directory(self.state_dir)).operator_url
        return Nats(url=url, ca_file=self.ca_file or os.environ.get(CA_VARIABLE))

    def named(self) -> bool:
        """Return whether the server is named by an option, and not found on this machine."""
        return bool(self.nats or os.environ.get(URL_VARIABLE))

    def configuration(self) -> Settings | None:
        """Return the configuration of the local Vedette, or None if it is unknown.

        Raises NotRunning.
        """
        if self.named():
            return None
        file = instance.find(instance.state_directory(self.state_dir)).config
        try:
            return load(file) if file else None if file is None else Settings()
        except ConfigurationError:
            return None  # the file is invalid now; `up` continues with the earlier configuration

    def nats_of(self, settings: Settings) -> Nats:
        """Return the connection settings, also if Vedette does not run: by option, local, or by *settings*."""
        configured = self.nats is None and settings.nats.url is not None
        reached = settings.nats if configured else self._operator()
        # Without --ca-file, the certificate authority in the configuration is used.
        return msgspec.structs.replace(
            reached, ca_file=self.ca_file or settings.nats.ca_file or reached.ca_file
        )

    def _operator(self) -> Nats:
        """Return the same as `operator`, with an error that says why no server is known."""
        try:
            return self.operator()
        except NotRunning as error:
            problem = "no NATS server is named, and none runs here"
            raise NotRunning(problem=problem, remedy=error.remedy) from error

    def database_of(self, settings: Settings) -> str:
        """Return the URL of the database: by *settings*, else that of the local Vedette. Raises NotRunning."""
        if (url := settings.database.address) is not None:
            return url
        directory = instance.state_directory(self.state_dir)
        try:
            return instance.find(directory).database_url
        except NotRunning:
            if not instance.database_file(directory).exists():
                raise
            return instance.database_url(directory)


HERE = Instance()
MOMENT = "a duration ago (90m, 24h, 30d) or a time (2026-11-24T10:00, in UTC by default)."


def moment(text: str, option: str) -> datetime:
    """Return the UTC time of *text*, the value of *option*: a duration ago, or a time. Raises RequestError."""
    try:
        at = datetime.fromisoformat(text.upper())
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):  # not a time, or outside the range of UTC
        return _ago(text, option)


def _ago(text: str, option: str) -> datetime:
    try:
        return datetime.now(UTC) - timedelta(seconds=seconds(text))
    except (ValueError, OverflowError) as error:
        problem = f"--{option}: {error}, nor a time such as 2026-11-24T10:00"
        raise RequestError(code="invalid_value", message=problem, field=option) from error


def source(
    config: str | None,
    nats: str | None = None,
    port: int | None = None,
    *,
    state_dir: str | None = None,
    gateway: bool = False,
) -> Source:
    """Return the source of the configuration, which has been read once. Raises ConfigurationError.

    If the configuration names no file for the operator's own facts, the file in *state_dir* is used. *gateway*: the
    gateway is enabled.
    """
    directory = instance.state_directory(state_dir)
    file = settings_file(config)
    had_one = file.is_file()

    def load() -> Settings:
        if had_one and not file.is_file():
            raise ConfigurationError(where=file, problem="is gone")
        return completed(settings(config, nats, port))

    def completed(loaded: Settings) -> Settings:
        if gateway:
            enabled = msgspec.structs.replace(loaded.gateway, enabled=True)
            loaded = msgspec.structs.replace(loaded, gateway=enabled)
        recommend = msgspec.structs.replace(loaded.recommend, facts=str(facts.place(loaded, directory)))
        return msgspec.structs.replace(loaded, recommend=recommend)

    return Source(file, load, completed(settings(config, nats, port)))


def settings(config: str | None, nats: str | None = None, port: int | None = None) -> Settings:
    """Return the configuration; the NATS options of the command line replace those in the file."""
    loaded = load(config)
    given = {"url": nats, "port": port}
    changed = {key: value for key, value in given.items() if value is not None}
    return msgspec.structs.replace(loaded, nats=msgspec.structs.replace(loaded.nats, **changed))
