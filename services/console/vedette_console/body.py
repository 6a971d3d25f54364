"""Reads the body of a request, within limits of size and time."""

import asyncio
from typing import Final

from starlette.requests import Request

from vedette.errors import RequestError

_WITHIN_S: Final = 10.0


async def read(request: Request, max_bytes: int) -> bytes:
    """Return the body of *request*. Raises RequestError if it has more than *max_bytes* or takes longer than 10 s."""
    body = bytearray()
    try:
        async with asyncio.timeout(_WITHIN_S):
            async for part in request.stream():
                body += part
                if len(body) > max_bytes:
                    raise RequestError(code="too_large", message=f"a body has at most {max_bytes} bytes")
    except TimeoutError as error:
        message = f"the body did not arrive within {_WITHIN_S:g} s"
        raise RequestError(code="timeout", message=message) from error
    return bytes(body)
