"""How soon three nats-servers that are killed at once store again, and whether anything acknowledged is lost.

Usage: PYTHONPATH=tests python -m benchmarks.brokers [ROUNDS]
"""

import asyncio
import sys
import tempfile
import time
from functools import partial
from itertools import count
from pathlib import Path

import nats.errors
import nats.js.errors

from eventually import eventually
from faults.test_cluster import ELECTED_WITHIN_S, provisioned
from vedette.bus.stream_configs import streams
from vedette.settings import Nats, Settings

_SUBJECT = "report.host.m0"  # of a stream that keeps every message of a subject
_RUN_S = 10.0


async def _grown(names: list[str], before: int) -> bool:
    return len(names) > before


async def run(rounds: int) -> None:
    """Print a line for each of *rounds* kills, and how many of all acknowledged ids are missing at the end."""
    acknowledged: list[str] = []
    with tempfile.TemporaryDirectory() as directory:
        async with provisioned(Path(directory)) as (cluster, connection):
            js = connection.jetstream(timeout=5)
            names = [one.name for one in streams(Settings(nats=Nats(replicas=3)))]
            numbers = count()

            async def publish() -> None:
                while True:
                    name = str(next(numbers))
                    try:
                        await js.publish(_SUBJECT, name.encode(), headers={"Nats-Msg-Id": name})
                    except (nats.errors.Error, TimeoutError):
                        await asyncio.sleep(0.1)
                    else:
                        acknowledged.append(name)

            publishing = asyncio.create_task(publish())
            for one in range(rounds):
                await asyncio.sleep(_RUN_S)
                await cluster.kill()
                before = len(acknowledged)
                started = time.monotonic()
                await cluster.start()
                await eventually(
                    partial(_grown, acknowledged, before), within_s=ELECTED_WITHIN_S, what="a stored message"
                )
                stores_s = time.monotonic() - started
                led = set[str]()
                while len(led) < len(names):
                    for name in names:
                        try:
                            info = (await js.stream_info(name)).cluster
                        except (nats.errors.Error, TimeoutError):
                            continue
                        if info and info.leader:
                            led.add(name)
                print(
                    f"round {one + 1}: stores again after {stores_s:.1f} s, all {len(names)} streams have a "
                    f"leader after {time.monotonic() - started:.1f} s; {before} acknowledged before",
                    flush=True,
                )
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
            stored = set()
            sequence, last = 1, (await js.stream_info("REPORTS")).state.last_seq
            while sequence <= last:
                try:
                    message = await js.get_msg("REPORTS", seq=sequence)
                    stored.add((message.data or b"").decode())
                except nats.js.errors.NotFoundError:
                    pass
                sequence += 1
            lost = [name for name in acknowledged if name not in stored]
            print(f"{len(acknowledged)} acknowledged, {len(lost)} lost")


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
