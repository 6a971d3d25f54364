"""A pass-through of a few lines, by Starlette and httpx: `python -m benchmarks.bare PORT BASE_URL`."""

import sys
from collections.abc import AsyncIterator

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

CLIENT = httpx.AsyncClient(timeout=None, limits=httpx.Limits(max_connections=None))


async def chat(request: Request) -> StreamingResponse:
    """Pass a request on, and its reply back."""
    sent = CLIENT.build_request(
        "POST",
        f"{sys.argv[2]}/chat/completions",
        content=await request.body(),
        headers={"Content-Type": "application/json"},
    )
    reply = await CLIENT.send(sent, stream=True)

    async def chunks() -> AsyncIterator[bytes]:
        async for chunk in reply.aiter_raw():
            yield chunk
        await reply.aclose()

    return StreamingResponse(chunks(), reply.status_code, media_type=reply.headers["content-type"])


if __name__ == "__main__":
    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical", access_log=False)
