"""Accounts of a nats-server, in the form of its configuration: users, imports and exports. Pure.

APP has JetStream, one user for each service, and the operator. CLIENT is one account that all agents of a laptop share.
`vedette agents add` gives an agent its own account: it cannot reach other agents, nor receive their messages.
SYSTEM may make the private server reload its configuration. See docs/adr/0017-an-account-for-each-agent.md.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from vedette.bus import permissions
from vedette.errors import RequestError

SERVICES: Final = "APP"
SHARED: Final = "CLIENT"
SYSTEM: Final = "SYSTEM"
SHARED_USER: Final = "agent"
SYSTEM_USER: Final = "system"
# Users with a password. Agents have accounts of their own.
USERS: Final = (*permissions.users(), SHARED_USER)
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")
# No client may subscribe to it. The server moves messages there that claim to be events but do not come from APP.
_REFUSED: Final = "refused"

Account = dict[str, Any]


def user_of(agent: str) -> str:
    """Return the user of the agent *agent*, which is also its account. Raises RequestError for an invalid name."""
    if not _NAME.match(agent):
        problem = (
            f"{agent!r} is not a valid name of an agent; use 1 to 63 of a-z, 0-9 and -, without a leading -"
        )
        raise RequestError(code="invalid_value", message=problem, field="name")
    return f"{SHARED_USER}-{agent}"


def variable_of(user: str) -> str:
    """Return the environment variable with the password of *user* in the configuration of your own server."""
    return f"{user.upper().replace('-', '_')}_PASSWORD"


def of_private(credentials: Mapping[str, str], agents: Mapping[str, str]) -> dict[str, Account]:
    """Return the accounts of a private server. *credentials* are passwords by user, *agents* passwords by agent."""
    system = {"users": [{"user": SYSTEM_USER, "password": credentials[SYSTEM_USER]}]}
    return {**_accounts(credentials, agents), SYSTEM: system}


def written(agents: Iterable[str] = ()) -> str:
    """Return the accounts that your own server includes. Passwords come from the environment of that server."""
    names = {user: f"${variable_of(user)}" for user in USERS}
    of_agents = {agent: f"${variable_of(user_of(agent))}" for agent in agents}
    text = _unquoted({"accounts": _accounts(names, of_agents)}, [*names.values(), *of_agents.values()])
    return f"# Written by: vedette contracts --accounts\n{text}\n"


def written_of(agent: str) -> str:
    """Return the account of one *agent*, as an entry for the accounts of your own server."""
    user = user_of(agent)
    password = f"${variable_of(user)}"
    return _unquoted({user: _of_agents(user, password)}, [password])


def _unquoted(value: object, variables: Iterable[str]) -> str:
    text = json.dumps(value, indent=1)
    for name in variables:
        text = text.replace(f'"{name}"', name)  # variables have no quotes
    return text[1:-1].strip()


def _accounts(credentials: Mapping[str, str], agents: Mapping[str, str]) -> dict[str, Account]:
    return {
        SERVICES: {
            "jetstream": "enabled",
            "users": [
                {"user": user, "password": credentials[user], "permissions": allowed}
                for user, allowed in permissions.users().items()
            ],
            "exports": [
                *({"service": subject} for subject in permissions.ASKED),
                {"service": permissions.SERVICE_API, "response_type": "Stream"},
                *({"stream": subject} for subject in permissions.FOLLOWED),
            ],
        },
        SHARED: _of_agents(SHARED_USER, credentials[SHARED_USER]),
        **{user_of(agent): _of_agents(user_of(agent), password) for agent, password in agents.items()},
    }


def _of_agents(user: str, password: str) -> Account:
    """Return the account of an agent: it may send queries to APP, and receives events from APP only."""
    asked, followed = (*permissions.ASKED, permissions.SERVICE_API), permissions.FOLLOWED
    return {
        "users": [{"user": user, "password": password, "permissions": permissions.of_agent()}],
        "imports": [
            *({"service": {"account": SERVICES, "subject": subject}} for subject in asked),
            *({"stream": {"account": SERVICES, "subject": subject}} for subject in followed),
        ],
        # nats-server does not check the reply subject that an agent names. With the subject of an event, the reply
        # would be a message in this account. The mapping moves such a message away, but not events, which come from
        # APP.
        "mappings": {subject: refused(subject) for subject in map(_with_all_below, followed)},
    }


def refused(subject: str) -> str:
    """Return the subject to which a message on *subject* is moved if it is not an event."""
    return f"{_REFUSED}.{subject}"


def _with_all_below(subject: str) -> str:
    """Return *subject* with `>` in place of `*`: `*` does not match a token that is `>`, which a client may send."""
    return f"{subject.removesuffix('*')}>" if subject.endswith("*") else subject
