"""A wait that leaps keeps its order and its length by the loop's clock, and takes no time by another."""

import asyncio
import time

from leaping import leaping

MINUTE_S = 60.0
HOURS_S = 100 * 3600.0


@leaping
async def test_timers_go_off_in_their_order() -> None:
    began_s, real_s, done = asyncio.get_running_loop().time(), time.monotonic(), list[str]()
    loop = asyncio.get_running_loop()
    loop.call_later(HOURS_S, done.append, "late")
    loop.call_later(MINUTE_S, done.append, "soon")
    try:
        async with asyncio.timeout(HOURS_S + MINUTE_S):
            await asyncio.Event().wait()
    except TimeoutError:
        done.append("timeout")
    assert done == ["soon", "late", "timeout"]
    assert HOURS_S < loop.time() - began_s < HOURS_S + 10 * MINUTE_S
    assert time.monotonic() - real_s < 10.0


@leaping
async def test_what_comes_by_a_socket_of_the_same_loop_is_not_late() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        async with asyncio.timeout(MINUTE_S):
            writer.write(b"hello\n")
            assert await reader.read() == b"hello\n"
        writer.close()
