"""`agents`: logins for agents, each in an account of its own."""

from typing import Annotated

from cyclopts import Parameter

from vedette.bus import accounts as of_server
from vedette.bus import agents
from vedette.cli import options
from vedette.cli.entries import NOTHING_FOUND
from vedette.cli.fitting import Column
from vedette.cli.output import complain, document, say, sheet
from vedette.local import instance
from vedette.runtime.loop import run

Name = Annotated[str, Parameter(help="Name of the agent: a-z, 0-9 and -.")]
StateDir = Annotated[
    str | None,
    Parameter(help="State directory of the Vedette on this machine. Default: in the user's data directory."),
]


def add(
    name: Name,
    /,
    *,
    accounts: Annotated[
        bool,
        Parameter(negative="", help="Print the account for your own NATS server instead."),
    ] = False,
    json: options.Json = False,
    state_dir: StateDir = None,
) -> int:
    """Make a login for the agent NAME; a Vedette that runs takes it at once. Twice prints the same login."""
    if accounts:
        return _for_own_server(name, json)
    agent = run(agents.add(instance.state_directory(state_dir), name))
    if json:
        document(agent)
        return 0
    say(agent.url or f"user {agent.user}, password {agent.password}")
    if agent.url is None:
        complain('no Vedette runs on this machine; after "vedette up", run this again to see the URL')
    return 0


def list_agents(*, json: options.Json = False, state_dir: StateDir = None) -> int:
    """List the agents that have a login of their own, without their passwords."""
    names = sorted(agents.kept(instance.state_directory(state_dir) / "nats"))
    if json:
        document({"agents": [{"name": name, "user": of_server.user_of(name)} for name in names]})
        return 0
    if not names:
        complain("no agent has its own login; create one with: vedette agents add NAME")
        return NOTHING_FOUND
    columns = (Column("agent", 0, "name"), Column("user", 1, "name"))
    sheet(columns, [(name, of_server.user_of(name)) for name in names])
    return 0


def remove(name: Name, /, *, json: options.Json = False, state_dir: StateDir = None) -> int:
    """Take the login of the agent NAME away; a Vedette that runs closes its connections."""
    run(agents.remove(instance.state_directory(state_dir), name))
    if json:
        document({"removed": name})
    else:
        say(f"removed {name}")
    return 0


def _for_own_server(name: str, as_json: bool) -> int:
    user = of_server.user_of(name)
    variable, entry = of_server.variable_of(user), of_server.written_of(name)
    if as_json:
        document({"name": name, "user": user, "password_variable": variable, "account": entry})
        return 0
    say(f"# Put this into the accounts of your NATS server and give it {variable}; or write all accounts:")
    say(f"# vedette contracts --accounts --agent {name}")
    say(entry)
    return 0
