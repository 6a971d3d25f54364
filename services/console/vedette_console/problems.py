"""Errors as the HTTP API sends them: problem+json (RFC 9457) with the codes of the queries."""

import math
from typing import Final

import msgspec
from starlette.responses import Response

from vedette.errors import NoAnswer, RequestError
from vedette.messages.queries import ErrorBody

MEDIA_TYPE: Final = "application/problem+json"
_STATUSES: Final = {
    "not_allowed": 403,
    "unknown_model": 404,
    "unknown_use_case": 404,
    "unknown_endpoint": 404,
    "timeout": 408,
    "too_large": 413,
    "internal": 500,
}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An error: the HTTP status, a stable `code`, a sentence in `detail`, and the `field` that is wrong, if one is."""

    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    type: str = "about:blank"


def of(error: RequestError, status: int | None = None) -> Problem:
    """Return *error* as a problem, with another *status* than that of its code if one is given."""
    body = ErrorBody(code=error.code, message=error.message, field=error.field)
    status = status or (503 if isinstance(error, NoAnswer) else _STATUSES.get(body.code, 400))
    title = body.code.replace("_", " ").capitalize()
    return Problem(title=title, status=status, detail=body.message, code=body.code, field=body.field)


def respond(error: RequestError) -> Response:
    """Return the response for *error*."""
    problem = of(error)
    headers = {"retry-after": "1"} if problem.status == 503 else {}
    return Response(msgspec.json.encode(problem), problem.status, headers, media_type=MEDIA_TYPE)


def response(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    """Return the response for a problem that is not of a query."""
    problem = Problem(title=code.replace("_", " ").capitalize(), status=status, detail=detail, code=code)
    return Response(msgspec.json.encode(problem), status, headers, media_type=MEDIA_TYPE)


def too_many(wait_s: float) -> Response:
    """Return the response to a caller that asks too often."""
    seconds = str(math.ceil(wait_s))
    return response(
        429, "too_many_requests", f"too many requests; retry in {seconds} s", {"retry-after": seconds}
    )
