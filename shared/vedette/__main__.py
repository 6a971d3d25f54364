"""Run the command line: `python -m vedette`, and the command `vedette`."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command that this process was started with; Ctrl-C ends it even while it is being imported."""
    try:
        from vedette.cli import main as run
    except KeyboardInterrupt:
        sys.exit(130)
    run()


if __name__ == "__main__":
    main()
