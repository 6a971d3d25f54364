"""`gateway key` and `gateway usage`: a key for a caller, and the callers' usage today."""

import hashlib
import secrets
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec
from cyclopts import Parameter
from msgspec import Struct

from vedette.bus.connection import connect
from vedette.cli import options
from vedette.cli.fitting import Column
from vedette.cli.output import complain, document, err, say, sheet
from vedette.client import ask
from vedette.errors import NoAnswer, RequestError
from vedette.messages.codec import encode
from vedette.messages.queries import CallerView, UsageReply, UsageRequest
from vedette.messages.validation import use_case_of
from vedette.runtime.loop import run
from vedette.settings import CallerKey, Gateway
from vedette.text.figures import number
from vedette.usecases import names

_PREFIX: Final = "vdt_"
_TIMEOUT_S: Final = 5.0


class Made(Struct, frozen=True, kw_only=True):
    """A new key. `toml` is its entry for the configuration, with only the SHA-256 of the key."""

    name: str
    key: str
    sha256: str
    toml: str


def key(
    name: Annotated[str, Parameter(help="Name of the caller, such as team-a.")],
    /,
    *,
    use_case: Annotated[
        tuple[str, ...], Parameter(help="Allow only virtual models of this use case. May be repeated.")
    ] = (),
    requests_per_minute: Annotated[int | None, Parameter(help="Maximum requests in a minute.")] = None,
    requests_per_day: Annotated[int | None, Parameter(help="Maximum requests in a day (UTC).")] = None,
    tokens_per_day: Annotated[
        int | None, Parameter(help="Maximum tokens in a day, of prompts and answers.")
    ] = None,
    usd_per_day: Annotated[
        float | None, Parameter(help="Maximum cost in a day, in US dollars, by the prices of the models.")
    ] = None,
    config: options.Config = None,
    json: options.Json = False,
) -> int:
    """Make a key for the caller NAME. It is printed once, and stored nowhere; nothing is changed.

    The entry for the configuration goes to standard output. It has the SHA-256 of the key alone.
    """
    settings = options.settings(config)
    secret = f"{_PREFIX}{secrets.token_urlsafe(32)}"
    made = CallerKey(
        sha256=hashlib.sha256(secret.encode()).hexdigest(),
        use_cases=tuple(use_case_of(one, names(settings)) for one in use_case),
        requests_per_minute=requests_per_minute,
        requests_per_day=requests_per_day,
        tokens_per_day=tokens_per_day,
        usd_per_day=usd_per_day,
    )
    _check(name, made)
    toml = "\n".join(_entry(name, made))
    if json:
        document(Made(name=name, key=secret, sha256=made.sha256, toml=toml))
        return 0
    err.print(f"key       {secret}")
    err.print("Give it to the caller: it is not shown again. Add this to the configuration:")
    if name in settings.gateway.keys:
        err.print(f"{name} has a key already, which ends when you replace it.")
    say(f"\n{toml}")
    return 0


def _check(name: str, made: CallerKey) -> None:
    """Raise RequestError for a name or a limit that the configuration would not take."""
    try:
        checked = msgspec.convert({"keys": {name: msgspec.to_builtins(made)}}, Gateway)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at ")
        option = place.rpartition(".")[2].strip("`").replace("_", "-")
        raise RequestError(code="invalid_value", message=f"--{option}: {reason}") from error
    for where, problem in checked.problems():
        raise RequestError(code="invalid_value", message=f"{where}: {problem}")


def _entry(name: str, made: CallerKey) -> Iterator[str]:
    """Yield the lines of a key in the configuration."""
    yield f"[gateway.keys.{name}]"
    for field, value in msgspec.structs.asdict(made).items():
        if value not in (None, ()):
            yield f"{field} = {msgspec.json.encode(value).decode()}"


def usage(*, json: options.Json = False, where: options.Instance = options.HERE) -> int:
    """Show what each caller of the gateway has used since midnight (UTC), by all replicas together."""
    return run(_usage(json, where))


async def _usage(as_json: bool, where: options.Instance) -> int:
    async with connect(where.operator(), name="vedette-operator") as connection:
        try:
            reply = await ask(
                connection, "gateway.usage", encode(UsageRequest()), UsageReply, timeout_s=_TIMEOUT_S
            )
        except NoAnswer as error:
            problem = 'no gateway replied; start one with "vedette up --gateway", or [gateway] enabled = true'
            raise NoAnswer(code=error.code, message=problem) from error
    if as_json:
        document(reply)
    elif not reply.callers:
        complain("no caller has used the gateway today, and there are no keys")
    else:
        sheet(_COLUMNS, [_row(one) for one in reply.callers], title=f"Usage of {reply.day} (UTC)")
    return 0


_COLUMNS = (
    Column("caller", 0, "name"),
    Column("requests", 1, "number"),
    Column("left", 2, "number"),
    Column("tokens", 1, "number"),
    Column("left", 2, "number"),
    Column("USD", 1, "number"),
    Column("left", 2, "number"),
    Column("note", 3),
)


def _row(one: CallerView) -> tuple[str, ...]:
    used, left = one.used, one.left
    return (
        one.name,
        number(used.requests),
        number(left.requests),
        number(used.tokens),
        number(left.tokens),
        f"{used.usd:.4f}",
        "-" if left.usd is None else f"{left.usd:.4f}",
        "" if one.known else "key removed",
    )
