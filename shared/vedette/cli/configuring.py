"""`config init`, `config check` and `config show`: create a configuration, check it, show the result."""

import itertools
import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import msgspec
import tomlkit
from cronsim import CronSim
from cyclopts import Parameter
from msgspec import Struct
from tomlkit.items import Item, Table

from vedette.bus.connection import without_secrets
from vedette.cli import checking, options
from vedette.cli.local import answering, usual
from vedette.cli.output import complain, document, err, say
from vedette.endpoints.contact import Contact
from vedette.errors import ConfigurationError, RequestError
from vedette.local import instance
from vedette.providers.addresses import origin
from vedette.runtime.loop import run
from vedette.settings import DEFAULT_FILE, EndpointSettings, Schedule, Secret, Section, Settings, is_cron

_HIDDEN = "(hidden)"
_BEGUN = """\
# Every setting has a default. "vedette config init --all FILE" writes all of them as comments.

{tables}# [endpoints.gpu]
# provider = "openai-compatible"       # vLLM, llama.cpp, LM Studio, …; else ollama, openai, anthropic, …
# url = "http://gpu-box:8000"
# api_key = {{ env = "GPU_KEY" }}        # a secret is an environment variable, or {{ file = "/run/secrets/gpu" }}

[schedule]
discovery = "24h"                      # how often each endpoint is asked for its models
availability = "30m"                   # … models are probed
performance = "6h"                     # … their speed is measured
quality = "7d"                         # … their answers are evaluated
"""
_WHEN = "# --- When"  # the example continues here after its endpoints
_ENDPOINTS = "# --- Endpoints"

File = Annotated[
    str | None, Parameter(help="Configuration file. Default: VEDETTE_CONFIG, else ./vedette.toml, else none.")
]


# --- Create ----------------------------------------------------------------------------------------------------


def init(
    file: Annotated[Path, Parameter(help="File to write.")] = Path(DEFAULT_FILE),
    /,
    *,
    force: Annotated[
        bool, Parameter(negative="", help="Replace an existing file; its copy is FILE.bak.")
    ] = False,
    every: Annotated[
        bool, Parameter(name="--all", negative="", help="Write every other setting, too, as a comment.")
    ] = False,
    json: options.Json = False,
) -> int:
    """Write a short configuration with the model servers that answer here."""
    if file.exists() and not force:
        raise ConfigurationError(where=file, problem="already exists; --force replaces it and keeps a copy")
    found = run(_found())
    try:
        backup = _backed_up(file) if file.exists() else None
        file.write_text(begun(found, every=every), "utf-8")
    except OSError as error:
        raise ConfigurationError(where=file, problem=f"cannot be written: {error.strerror}") from error
    if json:
        summary = {"file": str(file), "endpoints": {name: e.url for name, e in found.items()}}
        document(summary | ({"backup": str(backup)} if backup else {}))
        return 0
    for name, endpoint in found.items():
        say(f"endpoint  {name}: {endpoint.url}")
    if not found:
        err.print("no model server found on this machine at the usual ports; add yours to the file")
    if backup:
        say(f"kept      {backup}, the file before")
    say(f"wrote     {file}; next: vedette up")
    return 0


def _backed_up(file: Path) -> Path:
    """Copy *file* next to itself, without replacing another copy; return the path of the copy."""
    names = (f"{file.name}.bak{number or ''}" for number in itertools.count())
    backup = next(copy for copy in (file.with_name(name) for name in names) if not copy.exists())
    shutil.copy2(file, backup)
    return backup


async def _found() -> dict[str, EndpointSettings]:
    looked_for = usual()
    contacts = await answering(msgspec.structs.replace(Settings(), endpoints=looked_for))
    return {_name(name, contact): looked_for[name] for name, contact in contacts.items()}


def _name(usual: str, contact: Contact) -> str:
    """Return a name for the endpoint: the product of the server, else the *usual* server of its port."""
    product = contact.server.product if contact.server else None
    return "".join(c if c.isalnum() else "-" for c in product.lower()) if product else usual


def begun(endpoints: Mapping[str, EndpointSettings], *, every: bool = False) -> str:
    """Return the text of a configuration with *endpoints*. *every*: with all other settings as comments."""
    tables = "".join(
        f'[endpoints.{name}]\nprovider = "{endpoint.provider}"\nurl = "{endpoint.url}"\n\n'
        for name, endpoint in endpoints.items()
    )
    return _whole(tables) if every else _BEGUN.format(tables=tables)


def _whole(tables: str) -> str:
    """Return the example file with *tables* in place of its endpoints, and all other settings as comments."""
    example = files("vedette").joinpath("example.toml").read_text("utf-8")
    shown, _, rest = example.partition(_WHEN)
    title, _, shown = shown.partition(_ENDPOINTS)
    title = "".join(
        f"{line}\n" for line in title.replace("written here without", "written with").splitlines()
    )
    heading, _, shown = shown.partition("\n\n")
    ruled, _, rest = rest.partition("\n")
    return f"{title}{_ENDPOINTS}{heading}\n\n{tables}{_commented(shown)}{_WHEN}{ruled}\n{_commented(rest)}"


def _commented(text: str) -> str:
    return "\n".join(f"# {line}" if line and not line.startswith("#") else line for line in text.split("\n"))


# --- Show the configuration in effect ----------------------------------------------------------------------------


def check(file: File = None, /, *, config: options.Config = None, json: options.Json = False) -> int:
    """Find everything that `up` would refuse, and show the result. Nothing is contacted.

    Exit code 2 when something is wrong.
    """
    settings, problems = run(checking.check(_one(file, config)))
    settings = _without_secrets(settings)
    errors = [problem for problem in problems if problem.severity == "error"]
    if json:
        summary = {"ok": not errors, "problems": problems}
        document(summary | {name: getattr(settings, name) for name in Settings.sections()})
        return 2 if errors else 0
    for problem in problems:
        complain(f"{'' if problem.severity == 'error' else 'warning: '}{problem.where}: {problem.problem}")
    if errors:
        return 2
    for name, endpoint in settings.endpoints.items():
        say(f"endpoint  {name}: {endpoint.provider} at {endpoint.url}")
    schedule = settings.schedule
    say(
        f"schedule  discovery {schedule.discovery}, availability {schedule.availability}, "
        f"performance {schedule.performance}, quality {schedule.quality}, retention {schedule.retention}"
    )
    say(f"NATS      {settings.nats.url or 'a private server'}")
    url = settings.database.url
    say(f"history   {(url.reference if isinstance(url, Secret) else url) or 'SQLite in the state directory'}")
    return 0


def _one(file: str | None, config: str | None) -> str | None:
    if file is not None and config is not None and file != config:
        raise RequestError(
            code="invalid_value",
            message=f"--config: {config!r}, but FILE is {file!r}; give one",
            field="config",
        )
    return file or config


def show(file: File = None, /, *, config: options.Config = None, json: options.Json = False) -> int:
    """Print the whole configuration in effect: given values, and the defaults of all others."""
    file = _one(file, config)
    settings = _without_secrets(options.settings(file))
    if json:
        document({name: getattr(settings, name) for name in Settings.sections()})
        return 0
    place = file or os.environ.get("VEDETTE_CONFIG") or DEFAULT_FILE
    say(
        f"# {place if Path(place).is_file() else 'No configuration file'}; other values are marked as default."
    )
    say(f"# State directory: {instance.state_directory(None)}\n")
    say(tomlkit.dumps(_table(settings)).strip())
    return 0


def _without_secrets(settings: Settings) -> Settings:
    """Return *settings* without values that may be secrets."""
    nats, database = settings.nats, settings.database
    endpoints = {
        name: msgspec.structs.replace(
            endpoint,
            headers={
                header: value if isinstance(value, Secret) else _HIDDEN
                for header, value in endpoint.headers.items()
            },
        )
        for name, endpoint in settings.endpoints.items()
    }
    webhooks = tuple(
        msgspec.structs.replace(one, url=f"{origin(one.url)}/{_HIDDEN}") if isinstance(one.url, str) else one
        for one in settings.webhooks
    )
    return msgspec.structs.replace(
        settings,
        endpoints=endpoints,
        webhooks=webhooks,
        nats=msgspec.structs.replace(nats, url=without_secrets(nats.url) if nats.url else None),
        database=msgspec.structs.replace(
            database, url=without_secrets(database.url) if isinstance(database.url, str) else database.url
        ),
    )


def _table(section: Struct) -> Table:
    """Return *section* as a TOML table: values first, with defaults marked, then its subtables."""
    table = tomlkit.table()
    tables: list[tuple[str, Item]] = []
    for field in msgspec.structs.fields(section):
        if isinstance(section, Settings) and field.name in Settings.NOT_IN_FILE:
            continue
        value = getattr(section, field.name)
        if _is_table(value):
            tables.append((field.name, _nested(value)))
        elif value is None:
            table.add(tomlkit.comment(f"{field.name} is not set"))
        elif value != {}:
            item = item_of(value)
            if remark := ", ".join(_remarks(section, field, value)):
                item.comment(remark)
            table.add(field.name, item)
    for name, inner in tables:
        table.add(name, inner)
    return table


def _is_table(value: object) -> bool:
    """Return whether *value* needs a TOML heading: a section, a mapping of sections, or a list of sections."""
    if isinstance(value, dict):
        return any(isinstance(inner, Section) and not isinstance(inner, Secret) for inner in value.values())
    if isinstance(value, tuple):
        return any(isinstance(inner, Struct) for inner in value)
    return isinstance(value, Section) and not isinstance(value, Secret)


def _nested(value: Any) -> Item:
    if isinstance(value, dict):
        table = tomlkit.table(is_super_table=True)
        for name, inner in value.items():
            table.add(name, _table(inner))
        return table
    if isinstance(value, tuple):
        tables = tomlkit.aot()
        for inner in value:
            tables.append(_table(inner))
        return tables
    return _table(value)


def item_of(value: object) -> Item:
    """Return *value* as TOML on one line; a table becomes an inline table."""
    plain = _without_nothing(msgspec.to_builtins(value, builtin_types=(date,)))
    item: Item = tomlkit.item(plain)
    if isinstance(item, Table):
        item = tomlkit.inline_table()
        item.update(plain)
    return item


def _without_nothing(value: Any) -> Any:
    """Return *value* without keys whose value is None, because TOML has no null."""
    if not isinstance(value, dict):
        return value
    return {key: _without_nothing(inner) for key, inner in value.items() if inner is not None}


def _remarks(section: Struct, field: msgspec.structs.FieldInfo, value: Any) -> Iterator[str]:
    if value == field.default:
        yield "default"
    if isinstance(section, Schedule) and is_cron(value):
        yield f"next {next(CronSim(value, datetime.now(UTC))):%Y-%m-%d %H:%M} UTC"
