"""Run the command line: `python -m vedette`, and the command `vedette`."""

import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that this process was started with; Ctrl-C ends it even while it is being imported."""
    try:
        from vedette.cli import main as run
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # another one would change the exit code
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
