"""The `endpoints` commands and their options: list endpoints, and change them while Vedette runs."""

import getpass
import socket
import tomllib
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

from cyclopts import App, Parameter

from vedette.cli import changing, defined, entries, options
from vedette.cli.entries import Entry
from vedette.cli.listing import endpoints as list_endpoints
from vedette.client import definitions
from vedette.client.definitions import Author
from vedette.clock import SystemClock
from vedette.errors import RequestError
from vedette.runtime.loop import run
from vedette.settings import seconds

endpoints = App(
    name="endpoints",
    help="List the endpoints, or change them while Vedette runs.",
    group=entries.OPERATE,
    help_epilogue=f"Examples:\n  vedette endpoints\n  vedette endpoints --json\n\n{entries.EXIT_CODES}",
)
endpoints.default(list_endpoints)

Name = Annotated[str, Parameter(help="Name of the endpoint: a-z, 0-9 and -.")]
Unchecked = Annotated[
    bool, Parameter(negative="", help="Save the change without contacting the endpoint first.")
]


@Parameter(name="*")
@dataclass(frozen=True)
class Keys:
    """Keys of `[endpoints.NAME]`: common ones have an option, all others use `--set`."""

    url: Annotated[str | None, Parameter(help="URL of the model server.")] = None
    provider: Annotated[str | None, Parameter(help="Kind of server: ollama, openai-compatible, …")] = None
    api_key_env: Annotated[
        str | None, Parameter(help="Environment variable of the services that holds the API key.")
    ] = None
    api_key_file: Annotated[
        str | None, Parameter(help="File on the services' hosts that holds the API key.")
    ] = None
    set_: Annotated[
        tuple[str, ...],
        Parameter(
            name="--set",
            help="Any other key of [endpoints.NAME], as KEY=VALUE in TOML: timeout_s=20. May be repeated.",
        ),
    ] = ()

    def given(self) -> dict[str, Any]:
        """Return the values that are given, by key. Raises RequestError."""
        if self.api_key_env and self.api_key_file:
            raise RequestError(code="invalid_value", message="give one of --api-key-env and --api-key-file")
        key = {"env": self.api_key_env, "file": self.api_key_file}
        named = {
            "url": self.url,
            "provider": self.provider,
            "api_key": {source: place for source, place in key.items() if place} or None,
        }
        return dict(map(_pair, self.set_)) | {
            name: value for name, value in named.items() if value is not None
        }


@Parameter(name="*")
@dataclass(frozen=True)
class Signature:
    """The author of a change, and the reason."""

    reason: Annotated[str, Parameter(help="Reason for the change; the history shows it.")] = ""
    by: Annotated[
        str | None, Parameter(help="Who makes the change. Default: your user name at this machine.")
    ] = None

    @property
    def author(self) -> Author:
        """The author of the change."""
        return Author(by=self.by or _user(), via="command line", reason=self.reason)


NO_KEYS = Keys()
UNSIGNED = Signature()


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals:
        raise RequestError(code="invalid_value", message=f"--set: {text!r} is not KEY=VALUE", field="set")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value  # a text without quotation marks


def _user() -> str:
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # a user without a name, as in a container
        return socket.gethostname()


def _duration(text: str) -> timedelta:
    try:
        return timedelta(seconds=seconds(text))
    except (ValueError, OverflowError) as error:
        raise RequestError(code="invalid_value", message=f"--for: {error}", field="for") from error


def add(
    name: Name,
    /,
    *,
    keys: Keys = NO_KEYS,
    signature: Signature = UNSIGNED,
    unchecked: Unchecked = False,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Add the endpoint NAME to a Vedette that runs. It is tried first, and kept if it answers."""
    work = changing.add(name, keys.given(), signature.author, where, unchecked=unchecked, as_json=json)
    return run(work)


def edit(
    name: Name,
    /,
    *,
    keys: Keys = NO_KEYS,
    unset: Annotated[
        tuple[str, ...],
        Parameter(
            help="Remove this key, which was set at run time: its earlier value counts again. May be repeated."
        ),
    ] = (),
    signature: Signature = UNSIGNED,
    unchecked: Unchecked = False,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Change keys of the endpoint NAME, whatever its source. All other keys stay."""
    settings = keys.given()
    if not settings and not unset:
        raise RequestError(code="invalid_value", message="nothing to change: give --url, --set KEY=VALUE, …")
    work = changing.edit(name, settings, unset, signature.author, where, unchecked=unchecked, as_json=json)
    return run(work)


def remove(
    name: Name,
    /,
    *,
    signature: Signature = UNSIGNED,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Stop using the endpoint NAME, whatever its source. Its models are lost; their history stays."""
    return run(changing.make(name, definitions.remove, signature.author, where, json))


def restore(
    name: Name,
    /,
    *,
    signature: Signature = UNSIGNED,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Take back all that was changed of NAME at run time: the file, or where it appeared, counts alone."""
    return run(changing.make(name, definitions.restore, signature.author, where, json, defined=True))


def pause(
    name: Name,
    /,
    *,
    for_: Annotated[
        str | None, Parameter(name="--for", help="How long: 30m, 2h, 1d. Default: until it is resumed.")
    ] = None,
    signature: Signature = UNSIGNED,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Leave the endpoint NAME alone: no contact, no measurement, no recommendation. Its models stay known."""
    now, author = SystemClock().now(), signature.author
    pausing = definitions.pause(author=author, now=now, until=now + _duration(for_) if for_ else None)
    return run(changing.make(name, pausing, author, where, json))


def resume(
    name: Name,
    /,
    *,
    signature: Signature = UNSIGNED,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """End the pause of the endpoint NAME. It is probed at once."""
    return run(changing.make(name, definitions.resume, signature.author, where, json, defined=True))


def history(name: Name, /, *, json: options.Json = False, where: options.Instance = options.HERE) -> int:
    """Show who changed the endpoint NAME at run time, when and what, and how it appeared."""
    return run(defined.history(name, where, json))


def export(
    *,
    all_: Annotated[
        bool,
        Parameter(name="--all", negative="", help="Every endpoint in force, also those of the file."),
    ] = False,
    config: options.Config = None,
    json: options.Json = False,
    where: options.Instance = options.HERE,
) -> int:
    """Print the endpoints that were changed at run time as TOML, for the configuration file.

    They are laid over the file of --config, of the Vedette that runs here, or of VEDETTE_CONFIG.
    """
    return run(defined.export(config, where, everything=all_, as_json=json))


entries.add(
    endpoints,
    Entry(
        "vedette.cli.defining:add",
        "Add an endpoint to a running Vedette, once it responds.",
        (
            "vedette endpoints add gpu --provider openai-compatible --url http://gpu:8000",
            "vedette endpoints add hub --url https://llm.example.com --api-key-env HUB_KEY --set measure=true",
        ),
    ),
    Entry(
        "vedette.cli.defining:edit",
        "Change keys of an endpoint, whatever its source.",
        (
            "vedette endpoints edit gpu --url http://gpu-2:8000",
            "vedette endpoints edit gpu --set timeout_s=20 --unset exclude",
        ),
    ),
    Entry(
        "vedette.cli.defining:remove",
        "Stop using an endpoint, whatever its source.",
        ('vedette endpoints remove gpu --reason "moved to the new rack"',),
    ),
    Entry(
        "vedette.cli.defining:restore",
        "Undo all changes of an endpoint that were made at run time.",
        ("vedette endpoints restore gpu",),
    ),
    Entry(
        "vedette.cli.defining:pause",
        "Stop contacting and recommending an endpoint for a while.",
        ('vedette endpoints pause gpu --for 2h --reason "new driver"',),
    ),
    Entry("vedette.cli.defining:resume", "End the pause of an endpoint.", ("vedette endpoints resume gpu",)),
    Entry(
        "vedette.cli.defining:history",
        "Show who changed an endpoint, when and what.",
        ("vedette endpoints history gpu", "vedette endpoints history gpu --json"),
    ),
    Entry(
        "vedette.cli.defining:export",
        "Print the endpoints changed at run time as TOML.",
        ("vedette endpoints export", "vedette endpoints export --all > endpoints.toml"),
    ),
)
