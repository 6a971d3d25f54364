"""`up`: prints what it starts before the imports, which take seconds on a busy machine."""

from typing import Annotated

from cyclopts import Parameter

from vedette.cli import options
from vedette.cli.output import say
from vedette.local import instance


def up(
    *,
    config: options.Config = None,
    state_dir: Annotated[str | None, Parameter(help="Directory for streams and history.")] = None,
    nats: Annotated[str | None, Parameter(help="Use this NATS server instead of a private one.")] = None,
    port: Annotated[
        int | None, Parameter(help="Port of the private NATS server. Default: the port of the last start.")
    ] = None,
    gateway: Annotated[
        bool,
        Parameter(help="Serve the OpenAI-compatible API as well, as [gateway] enabled does.", negative=()),
    ] = False,
) -> int:
    """Run everything in one process: all services, a private NATS server and SQLite. Ctrl-C stops it."""
    source = options.source(config, nats, port, state_dir=state_dir, gateway=gateway)
    directory = instance.state_directory(state_dir)
    say(
        f"starting  {'the services' if source.started.nats.url else 'a private NATS server, then the services'}"
    )
    from vedette.cli import running
    from vedette.runtime.loop import run

    return run(running.up(source, directory))
