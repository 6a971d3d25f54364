"""`completion`: what a shell needs to complete commands and options."""

from typing import Annotated, Literal

from cyclopts import Parameter

from vedette.cli import app
from vedette.cli.output import say


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="For which shell.")],
    /,
    *,
    install: Annotated[
        bool, Parameter(negative="", help="Write it where the shell looks for it, in your home directory.")
    ] = False,
) -> int:
    """Print the completion script of a shell, or put it where the shell looks for it."""
    if install:
        say(f"wrote {app.install_completion(shell=shell)}; it works in new shells")
    else:
        say(app.generate_completion(shell=shell).rstrip())
    return 0
