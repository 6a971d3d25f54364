"""The command line: its commands, and what its exit codes mean."""

import sys
from importlib.metadata import entry_points
from typing import NoReturn

from cyclopts import App, CycloptsError, Parameter

from vedette import __version__, log
from vedette.cli.output import complain
from vedette.errors import (
    BusUnreachable,
    ConfigurationError,
    NoAnswer,
    NotRunning,
    RequestError,
    StateDirectoryError,
    VedetteError,
)

app = App(
    name="vedette",
    version=__version__,
    default_parameter=Parameter(negative_iterable=()),
    help="Discovers the language models you can call, measures them, and says which one to use now, and why.",
    help_epilogue=(
        "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 nothing to talk to, 4 no model fits."
    ),
)
# Each is loaded when it is called: a question to a running Vedette needs none of what running one does.
for place, line in (
    ("running:up", "Run everything in one process: services, a private NATS server, SQLite."),
    ("running:run", "Run the named services on an existing NATS server, as a pod does."),
    ("demonstrating:demo", "Try it all on a small real model that is served locally."),
    ("asking:models", "List the models with what was measured of them."),
    ("asking:recommend", "Name the best model for a use case now."),
    ("asking:explain", "Show why: every signal, every rejection."),
    ("reporting:report", "Tell how a call to a model ended."),
    ("recalling:history", "Show how models did over time."),
    ("watching:watch", "Show what happens, as it happens."),
    ("working:discover", "Look for models now."),
    ("working:probe", "Check now whether models answer."),
    ("working:benchmark", "Measure the speed of models now."),
    ("working:verify", "Have models prove now what they can do."),
    ("working:evaluate", "Check now how well models answer."),
    ("administering:endpoints", "List the endpoints, and what was used of each today."),
    ("administering:doctor", "Tell what is reachable, what is not, what to do."),
    ("administering:provision", "Make the streams and consumers on a NATS server."),
):
    app.command(f"vedette.cli.{place}", name=place.partition(":")[2], help=line)
config = App(name="config", help="The configuration file.")
config.command("vedette.cli.administering:check", name="check", help="Read it, and say what it comes to.")
app.command(config)
quality = App(name="quality", help="Scores that you vouch for.")
quality.command("vedette.cli.rating:import_file", name="import", help="Take over the scores of a file.")
quality.command("vedette.cli.rating:list_ratings", name="list", help="List them.")
app.command(quality)
# A service, or anybody's package, adds its own: an entry point names a function that is given the app.
for point in entry_points(group="vedette.commands"):
    point.load()(app)

_EXIT_CODES: tuple[tuple[type[VedetteError], int], ...] = (
    (NotRunning, 3),
    (BusUnreachable, 3),
    (NoAnswer, 3),
    (ConfigurationError, 2),
    (StateDirectoryError, 2),
    (RequestError, 2),
)


def main(tokens: list[str] | None = None) -> NoReturn:
    """Run the command in *tokens* (default: of this process) and exit with its code."""
    log.configure()
    try:
        code = app(tokens, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        sys.exit(2)  # it has explained itself
    except VedetteError as error:
        complain(str(error))
        sys.exit(next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), 1))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read us, `head` say, has seen enough.
        sys.stderr.close()
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)
