"""Run the command line: `python -m vedette`, and the command `vedette`."""

import io
import os
import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that this process was started with; Ctrl-C ends it even while it is being imported."""
    _prepare_output()
    try:
        from vedette.cli import main as run
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # another one would change the exit code
        sys.exit(130)
    run()


def _prepare_output() -> None:
    """Write output in UTF-8 for every locale: names of models may be in any script. What is closed goes nowhere."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - as long as the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


if __name__ == "__main__":
    main()
