"""Errors as OpenAI clients read them: `{"error": {"message", "type", "param", "code"}}`. Pure."""

import math
from typing import Final

import msgspec
from msgspec import Struct

from vedette.errors import NoAnswer, RequestError

_NOT_FOUND: Final = frozenset({"unknown_model", "unknown_use_case", "unknown_endpoint"})
_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    424: "server_error",
    429: "rate_limit_error",
}


class Problem(Exception):
    """An error response: the status, a stable code, a sentence, the wrong parameter, and seconds until a retry."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s

    @classmethod
    def of(cls, error: RequestError) -> "Problem":
        """Return the response to the caller for the *error* of a query."""
        if isinstance(error, NoAnswer):
            return cls(503, "no_recommender", error.message, retry_after_s=1.0)
        status = 404 if error.code in _NOT_FOUND else 413 if error.code == "too_large" else 400
        code = "model_not_found" if status == 404 else error.code
        return cls(status, code, error.message, param="model" if status == 404 else error.field)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the response."""
        wait = (
            {} if self.retry_after_s is None else {"retry-after": str(max(1, math.ceil(self.retry_after_s)))}
        )
        challenge = {"www-authenticate": "Bearer"} if self.status == 401 else {}
        return {"content-type": "application/json", **wait, **challenge}

    @property
    def body(self) -> bytes:
        """The body of the response."""
        return msgspec.json.encode(_Document(_Error(self.message, self.type, self.param, self.code)))

    @property
    def event(self) -> bytes:
        """The body as a server-sent event, for a stream that has begun."""
        return b"data: " + self.body + b"\n\n"

    @property
    def type(self) -> str:
        """The kind of error, by OpenAI's names."""
        other = "server_error" if self.status >= 500 else "invalid_request_error"
        return _TYPES.get(self.status, other)


class _Error(Struct, frozen=True):
    message: str
    type: str
    param: str | None
    code: str


class _Document(Struct, frozen=True):
    error: _Error
