"""`console`: prints the address of the console, and a link that logs an operator in."""

import webbrowser
from typing import Annotated

from cyclopts import Parameter
from msgspec import Struct

from vedette.cli import options
from vedette.cli.output import document, err, out
from vedette.errors import ConfigurationError
from vedette.local import instance


class Address(Struct, frozen=True, kw_only=True):
    """The address of the console. `login_url` logs an operator in and must stay secret."""

    url: str
    login_url: str | None


def console(
    *,
    open: Annotated[
        bool, Parameter(negative="", help="Open the page in the browser of this machine, logged in.")
    ] = False,
    json: options.Json = False,
    state_dir: Annotated[
        str | None,
        Parameter(
            help="State directory of the Vedette on this machine. Default: in the user's data directory."
        ),
    ] = None,
) -> int:
    """Show the address of the console, and the link by which an operator logs in."""
    found = instance.find(instance.state_directory(state_dir))
    if not found.console_url:
        raise ConfigurationError(where="console", problem="switched off; set enabled = true under [console]")
    address = Address(
        url=found.console_url,
        login_url=f"{found.console_url}/login#{found.console_token}" if found.console_token else None,
    )
    if json:
        document(address)
    else:
        out.print(f"page      {address.url}")
        if address.login_url:
            out.print(f"operator  {address.login_url}")
            err.print("The second link allows jobs. Do not share it.")
    if open and not webbrowser.open(address.login_url or address.url):
        err.print("No browser was found here.")
        return 1
    return 0
