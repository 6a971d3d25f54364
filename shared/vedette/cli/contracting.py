"""`contracts`: the messages on the bus, for people and for programs."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from vedette.bus import accounts as of_server
from vedette.cli import options
from vedette.cli.fitting import Column
from vedette.cli.output import complain, document, say, sheet
from vedette.messages import documents
from vedette.messages.channels import CHANNELS, QUERIES


def contracts(
    *,
    output: Annotated[
        Path | None, Parameter(help=f"Write {', '.join(documents.FILES)} into this directory.")
    ] = None,
    check: Annotated[
        Path | None, Parameter(help="Fail if the files in this directory are out of date.")
    ] = None,
    asyncapi: Annotated[bool, Parameter(negative="", help="Print the AsyncAPI 3.0 document.")] = False,
    accounts: Annotated[
        bool, Parameter(negative="", help="Print accounts and permissions for your own NATS server.")
    ] = False,
    agent: Annotated[
        tuple[str, ...],
        Parameter(help="With --accounts: add an account for this agent. May be repeated."),
    ] = (),
    json: options.Json = False,
) -> int:
    """List the messages on the bus: subjects, publishers, consumers, queries and replies."""
    if check is not None:
        return _check(check)
    if output is not None:
        return _write(output)
    if accounts:
        say(of_server.written(agent).rstrip())
        return 0
    if asyncapi or json:
        document(documents.asyncapi() if asyncapi else documents.document())
        return 0
    _show()
    return 0


def _check(directory: Path) -> int:
    differing = [
        name
        for name, text in documents.files().items()
        if not (directory / name).is_file() or (directory / name).read_text() != text
    ]
    for name in differing:
        complain(f"{directory / name} is out of date; run: vedette contracts --output {directory}")
    return 1 if differing else 0


def _write(directory: Path) -> int:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in documents.files().items():
        (directory / name).write_text(text)
        say(f"wrote {directory / name}")
    return 0


def _show() -> None:
    rows = [
        (
            channel.copy or channel.subject,
            channel.name,
            ", ".join(channel.publishers),
            "any client" if channel.copy else ", ".join(channel.consumers),
        )
        for channel in CHANNELS
    ]
    rows += [
        (query.subject, query.reply.__name__, query.service, "the requesting client") for query in QUERIES
    ]
    columns = (Column("subject", 0, "name"), Column("message"), Column("from", 1), Column("to", 2))
    sheet(columns, rows)
