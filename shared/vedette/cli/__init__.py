"""The command line: its commands and exit codes."""

import errno
import signal
import sys
from contextlib import suppress
from importlib.metadata import entry_points
from typing import NoReturn, TypeGuard

from cyclopts import App, CycloptsError, Parameter

from vedette import __version__
from vedette.cli import entries, mistakes
from vedette.cli.entries import Entry
from vedette.cli.output import complain
from vedette.errors import (
    BusUnreachable,
    ConfigurationError,
    Interrupted,
    NoAnswer,
    NotRunning,
    RequestError,
    StateDirectoryError,
    VedetteError,
)


def _default(value: object) -> str | None:
    """Return a default as help shows it; None for the default of a flag, which help does not show."""
    return None if value in (None, False, ()) else str(value)


app = App(
    name="vedette",
    version=__version__,
    default_parameter=Parameter(negative_iterable=(), show_default=_default),
    help="Discovers the language models you can call, measures them, and says which one to use now, and why.",
    help_format="plaintext",
    help_epilogue=f"Each command shows examples: vedette COMMAND --help\n\n{entries.EXIT_CODES}",
)
entries.add(
    app,
    Entry(
        "vedette.cli.demonstrating:demo",
        "Try Vedette on a small real model, served on this machine.",
        ("vedette demo", "vedette demo --stay"),
    ),
    Entry(
        "vedette.cli.starting:up",
        "Run everything in one process: services, a private NATS server, SQLite.",
        ("vedette up", "vedette up --config vedette.toml --port 4222"),
    ),
    Entry(
        "vedette.cli.running:run",
        "Run the named services, or all, on an existing NATS server. Pods use this.",
        ("vedette run recommender --nats nats://nats:4222", "vedette run prober benchmarker"),
    ),
    group=entries.START,
)
entries.add(
    app,
    Entry(
        "vedette.cli.asking:models",
        "List the models with their measurements.",
        (
            "vedette models",
            "vedette models qwen --capability tools",
            "vedette models --status available --json",
        ),
    ),
    Entry(
        "vedette.cli.asking:recommend",
        "Show the best model for a use case now, and its fallbacks.",
        (
            "vedette recommend chat",
            "vedette recommend code_generation --max-ttft-ms 500 --locality local",
            "vedette recommend chat --at 24h --json",
        ),
    ),
    Entry(
        "vedette.cli.asking:explain",
        "Explain a recommendation: every signal, every rejection, and what would change the winner.",
        ("vedette explain chat", "vedette explain embedding --exclude gpu/bge-m3 --json"),
    ),
    Entry(
        "vedette.cli.recalling:history",
        "Show the history of a model, an endpoint, or many models.",
        (
            "vedette history",
            "vedette history gpu/qwen3:8b --since 7d --plot",
            "vedette history --use-case chat --json",
        ),
    ),
    Entry(
        "vedette.cli.watching:watch",
        "Show events as they happen, one a line; with use cases, show winner changes.",
        (
            "vedette watch",
            "vedette watch --event found --model 'gpu/*' --json",
            "vedette watch chat embedding",
        ),
    ),
    Entry(
        "vedette.cli.opening:console",
        "Show the address of the console, the web page of this Vedette.",
        ("vedette console", "vedette console --open"),
    ),
    Entry(
        "vedette.cli.viewing:top",
        "Show models, winners and events live on the terminal.",
        ("vedette top", "vedette top --plain"),
    ),
    Entry(
        "vedette.cli.reporting:report",
        "Report the outcome of a call to a model, as agents do.",
        ("vedette report gpu/qwen3:8b --use-case chat --e2e-ms 1200 --output-tokens 80",),
    ),
    group=entries.ASK,
)
entries.add(
    app,
    Entry(
        "vedette.cli.working:discover", "Discover models now.", ("vedette discover", "vedette discover gpu")
    ),
    Entry(
        "vedette.cli.working:probe",
        "Check now whether models are reachable.",
        ("vedette probe", "vedette probe gpu/qwen3:8b --json"),
    ),
    Entry(
        "vedette.cli.working:benchmark",
        "Measure the speed of models now; figures come with their spread.",
        ("vedette benchmark gpu/qwen3:8b --sweep 1,2,4,8", "vedette benchmark --output md"),
    ),
    Entry(
        "vedette.cli.working:verify",
        "Check the capabilities of models now: tools, JSON, vision, embeddings.",
        ("vedette verify gpu/qwen3:8b",),
    ),
    Entry(
        "vedette.cli.working:evaluate",
        "Measure the quality of models now; scores come with their intervals.",
        (
            "vedette evaluate gpu/qwen3:8b --suite tools --suite arithmetic",
            "vedette evaluate gpu --show",
            "vedette evaluate --hosted --budget 1.00",
            "vedette evaluate --judge summarisation",
        ),
    ),
    group=entries.MEASURE,
)
entries.add(
    app,
    Entry(
        "vedette.cli.doctoring:doctor",
        "Show what is reachable, what is not, and what to do.",
        ("vedette doctor", "vedette doctor gpu/qwen3:8b"),
    ),
    Entry(
        "vedette.cli.provisioning:provision",
        "Create or update the streams and consumers on a NATS server. Safe to repeat.",
        ("vedette provision --nats nats://admin@nats:4222",),
    ),
    group=entries.OPERATE,
)
# `endpoints` is an app, not a command, because without a subcommand it lists the endpoints.
app.command(
    "vedette.cli.defining:endpoints",
    help="List the endpoints, or change them while Vedette runs.",
    group=entries.OPERATE,
)
config = App(
    name="config",
    help="Create, check and show the configuration file.",
    group=entries.OPERATE,
)
entries.add(
    config,
    Entry(
        "vedette.cli.configuring:init",
        "Create a configuration file with the model servers found on this machine.",
        ("vedette config init", "vedette config init --all deploy/vedette.toml"),
    ),
    Entry(
        "vedette.cli.configuring:check",
        "Check the configuration as `up` reads it, and summarise it.",
        ("vedette config check", "vedette config check vedette.toml --json"),
    ),
    Entry(
        "vedette.cli.configuring:show",
        "Print the complete configuration as TOML, with defaults marked and without secrets.",
        ("vedette config show", "vedette config show vedette.toml --json"),
    ),
)
app.command(config)
quality = App(name="quality", help="Import and list your own quality scores.", group=entries.OPERATE)
entries.add(
    quality,
    Entry(
        "vedette.cli.rating:import_file",
        "Import scores from a file; they take priority over measured ones.",
        ("vedette quality import scores.toml",),
        name="import",
    ),
    Entry(
        "vedette.cli.rating:list_ratings",
        "List the imported scores with source and date.",
        ("vedette quality list", "vedette quality list --json"),
        name="list",
    ),
)
app.command(quality)
knowledge = App(
    name="knowledge", help="Show and extend the published facts about models.", group=entries.OPERATE
)
entries.add(
    knowledge,
    Entry(
        "vedette.cli.knowing:show",
        "Show the quality to expect of a model, by published facts.",
        ("vedette knowledge show qwen3:8b", "vedette knowledge show gpu/qwen3:8b --json"),
    ),
    Entry(
        "vedette.cli.knowing:update",
        "Merge published facts of your own into your table.",
        ("vedette knowledge update facts.csv",),
    ),
)
app.command(knowledge)
agents = App(name="agents", help="Manage logins of agents, each with its own account.", group=entries.OPERATE)
entries.add(
    agents,
    Entry(
        "vedette.cli.agents:add",
        "Create a login for an agent; a running Vedette accepts it at once.",
        ("vedette agents add support-bot", "vedette agents add support-bot --accounts"),
    ),
    Entry(
        "vedette.cli.agents:list_agents",
        "List the agents that have their own login.",
        ("vedette agents list", "vedette agents list --json"),
        name="list",
    ),
    Entry(
        "vedette.cli.agents:remove",
        "Remove the login of an agent; a running Vedette closes its connections.",
        ("vedette agents remove support-bot",),
    ),
)
app.command(agents)
entries.add(
    app,
    Entry(
        "vedette.cli.serving:serve_mcp",
        "Serve MCP tools on standard input and output.",
        ("vedette serve-mcp",),
    ),
    Entry(
        "vedette.cli.contracting:contracts",
        "List the messages on the bus: subjects, publishers, consumers, schemas.",
        ("vedette contracts", "vedette contracts --asyncapi > asyncapi.json"),
    ),
    Entry(
        "vedette.cli.completing:completion",
        "Print or install the completion script of a shell.",
        ("vedette completion bash --install", "vedette completion zsh > _vedette"),
    ),
    group=entries.PROGRAM,
)
entries.add(
    app,
    Entry(
        "vedette.cli.completing:complete_names",
        "Print names that complete a command line. The scripts of `completion` call it.",
        ("vedette complete-names 'vedette recommend co'",),
    ),
    show=False,
)
# Services and other packages add their own: an entry point names a function that takes the app.
for point in entry_points(group="vedette.commands"):
    point.load()(app)

_EXIT_CODES: tuple[tuple[type[VedetteError], int], ...] = (
    (NotRunning, 4),
    (BusUnreachable, 4),
    (NoAnswer, 4),
    (ConfigurationError, 2),
    (StateDirectoryError, 2),
    (RequestError, 2),
)


def main(tokens: list[str] | None = None) -> NoReturn:
    """Run the command in *tokens* (default: of this process) and exit with its code."""
    try:
        code = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        complain(mistakes.explained(error))
        sys.exit(2)
    except Interrupted as error:
        with suppress(OSError):  # the terminal may be gone
            complain(str(error))
        sys.exit(128 + error.number)
    except VedetteError as error:
        hint = '; "vedette doctor" shows what is reachable' if isinstance(error, BusUnreachable) else ""
        complain(f"{error}{hint}")
        sys.exit(next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), 1))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C would change the exit code
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output, such as `head`, closed the pipe.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        if _is_full(error):
            complain(f"the output cannot be written: {error.strerror}")
            with suppress(OSError):
                sys.stdout.close()  # Python would try to write the rest again at the exit
            sys.exit(1)
        if type(error).__module__.partition(".")[0] != "nats":
            raise
        # A NATS server does not reply to a request that the login may not send.
        complain(
            f"the NATS server refused this command ({' '.join(str(error).split())}). "
            "Its log says why; only the operator's login may change streams and read all of them"
        )
        sys.exit(4)
    sys.exit(code if isinstance(code, int) else 0)


def _is_full(error: Exception) -> TypeGuard[OSError]:
    """Return whether standard output has no room left. An error that names a file is reported by its command."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT) and not error.filename
