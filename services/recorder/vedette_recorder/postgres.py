"""How PostgreSQL is reached: with TLS as libpq's URLs ask for it, directly or through a pooler such as pgbouncer."""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import sqlalchemy as sa
from sqlalchemy.util import await_only

from vedette.errors import ConfigurationError

DRIVER = "postgresql+asyncpg"
# How libraries and services write the same.
DRIVERS = (DRIVER, "postgresql", "postgres")
PORT = 5432
READ_ONLY_STATE = "25006"
NO_PRIVILEGE_STATE = "42501"
# PostgreSQL 15 and later let only the owner of a database create tables in its schema `public`.
GRANT = "Grant it to its user: `GRANT ALL ON SCHEMA public TO <user>` in this database, or make the user its owner"
READ_ONLY = (
    "the database is read-only: a replica, or default_transaction_read_only is on. "
    "Name the primary, or all hosts: postgresql://db1,db2/vedette"
)
IS_READ_ONLY = sa.select(
    (sa.func.current_setting("transaction_read_only") == sa.literal("on")).label("read_only")
)
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# What asyncpg understands in a URL, and SQLAlchemy does not hand on.
_OF_LIBPQ = frozenset(
    (
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "sslpassword",
        "sslcrl",
        "ssl_min_protocol_version",
        "ssl_max_protocol_version",
        "target_session_attrs",
        "application_name",
        "options",
        "passfile",
    )
)
_SEVERAL_HOSTS = re.compile(
    r"(?P<login>postgres[\w+]*://(?:.*@)?)(?P<hosts>[^/?@]+,[^/?@]+)(?P<path>/[^?]*)?(?:\?(?P<query>.*))?"
)
_HOST = re.compile(r"(?P<host>.+):(?P<port>\d+)")
_OF_SQLALCHEMY = frozenset(("host", "port", "ssl", "prepared_statement_cache_size"))
_CONNECT_TIMEOUT = "connect_timeout"


def with_hosts_in_query(url: str) -> str:
    """Return *url* with several hosts (`db1:5432,db2/vedette`) as SQLAlchemy takes them."""
    found = _SEVERAL_HOSTS.fullmatch(url)
    if found is None:
        return url
    named, more = "&".join(f"host={host}" for host in found["hosts"].split(",")), found["query"]
    return f"{found['login']}{found['path'] or '/'}?{named}{f'&{more}' if more else ''}"


def split(url: sa.URL) -> tuple[sa.URL, dict[str, Any]]:
    """Return *url* as SQLAlchemy takes it, and what asyncpg needs in addition. Raises ConfigurationError."""
    query = {
        name: str(value) if isinstance(value, str) else str(value[-1]) for name, value in url.query.items()
    }
    known = _OF_LIBPQ | _OF_SQLALCHEMY | {_CONNECT_TIMEOUT}
    for name in query.keys() - known:
        raise _wrong(f"?{name} is not supported; supported: {', '.join(sorted(known))}")
    libpq = {name: value for name, value in query.items() if name in _OF_LIBPQ}
    options: dict[str, Any] = {}
    if isinstance(hosts := url.query.get("host"), tuple):
        # SQLAlchemy takes no list without ports, and none with sockets.
        places = [_HOST.fullmatch(host) for host in hosts]
        options["host"] = [
            place["host"] if place else host for place, host in zip(places, hosts, strict=True)
        ]
        options["port"] = [int(place["port"]) if place else PORT for place in places]
        libpq.setdefault("target_session_attrs", "primary")  # the recorder writes
        url = url.difference_update_query(["host"])
    if (mode := libpq.get("sslmode", "prefer")) not in _SSL_MODES:
        raise _wrong(f"?sslmode={mode} is not known; use one of {', '.join(_SSL_MODES)}")
    if libpq.get("sslrootcert") == "system":
        del libpq["sslrootcert"]
        libpq.pop("sslmode", None)
        options["ssl"] = ssl.create_default_context()
    for name in ("sslrootcert", "sslcert", "sslkey", "sslcrl"):
        if name in libpq and not Path(libpq[name]).expanduser().is_file():
            raise _wrong(f"?{name}={libpq[name]}: there is no such file")
    if _CONNECT_TIMEOUT in query:
        try:
            options["timeout"] = float(query[_CONNECT_TIMEOUT])
        except ValueError as error:
            raise _wrong(
                f"?{_CONNECT_TIMEOUT}={query[_CONNECT_TIMEOUT]} is not a number of seconds"
            ) from error
    if libpq:
        options["dsn"] = f"postgresql://?{urlencode(libpq, quote_via=quote)}"
    return url.difference_update_query([*_OF_LIBPQ, _CONNECT_TIMEOUT]), options


def _wrong(problem: str) -> ConfigurationError:
    return ConfigurationError(where="database.url", problem=problem)


class Pooler:
    """Whether a pooler stands between us and the server, found out with the first connection.

    In transaction mode a pooler may run each transaction on another connection of its own. So a statement that was
    prepared in one transaction is missing in the next. A pooler also refuses unknown settings at the start of a
    connection.
    """

    def __init__(self) -> None:
        self._found: bool | None = None

    def follow(self, engine: sa.Engine) -> None:
        """Have every connection of *engine* made so that it works through a pooler, if there is one."""
        sa.event.listen(engine, "do_connect", self._prepare)

    def _prepare(self, _: object, __: object, ___: object, parameters: dict[str, Any]) -> None:
        if self._found is None:
            self._found = await_only(_is_pooled(parameters))
        if not self._found:
            return
        parameters.pop("server_settings", None)
        parameters |= {
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": str,  # "": one that the next one replaces, so that none piles up
        }


async def _is_pooled(parameters: Mapping[str, Any]) -> bool:
    """Return whether a pooler answers: the backend that does the work is another process."""
    import asyncpg  # of the extra "postgres"

    own = {name: value for name, value in parameters.items() if name not in _NOT_OF_ASYNCPG}
    connection = await asyncpg.connect(**own, statement_cache_size=0)
    try:
        return bool(await connection.fetchval("SELECT pg_backend_pid()") != connection.get_server_pid())
    finally:
        await connection.close()


_NOT_OF_ASYNCPG = frozenset(
    (
        "prepared_statement_cache_size",
        "prepared_statement_name_func",
        "async_fallback",
        "async_creator_fn",
        "server_settings",
        "statement_cache_size",
    )
)
