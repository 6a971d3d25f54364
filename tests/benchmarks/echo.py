"""A raw nats-py responder, the floor of any answer over NATS: `python -m benchmarks.echo URL BYTES`."""

import asyncio
import sys

import nats
import uvloop
from nats.aio.msg import Msg


async def main(url: str, size: int) -> None:
    reply = b"x" * size
    connection = await nats.connect(url)

    async def respond(message: Msg) -> None:
        await message.respond(reply)

    await connection.subscribe("bench.echo", queue="bench", cb=respond)
    await connection.flush()
    await connection.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], int(sys.argv[2])))
